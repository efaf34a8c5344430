import { maskRandom } from "../kit/random-text.ts";
import type { Excerpt } from "./problems.ts";
import type { Tree } from "./tree.ts";

/** A part of the text: shown as it is, or left out. */
interface Span {
  readonly from: number;
  readonly to: number;
  readonly isShown: boolean;
}

/** Longest line of which an excerpt is made. */
const maxLineChars = 2000;
const hidden = "…";

/** Where lines begin, and what of them may be shown. */
export interface TextMap {
  position(at: number): { readonly line: number; readonly column: number };
  /** The line around an offset; undefined when it is empty or very long. */
  excerpt(at: number): Excerpt | undefined;
}

/**
 * Maps offsets to lines.
 * @param root undefined when the text could not be parsed: then only first keys are shown
 * @param shown scalars whose values may be shown; all others, and comments, are left out
 */
export function mapText(text: string, root: Tree | undefined, shown: ReadonlySet<Tree>): TextMap {
  let spans: Span[] | undefined;
  let starts: number[] | undefined;
  const lineOf = (at: number): number => {
    starts ??= lineStarts(text);
    return firstIndex(starts, (start) => start > at);
  };
  return {
    position(at) {
      const line = lineOf(at);
      return { line, column: at - (starts?.[line - 1] ?? 0) + 1 };
    },
    excerpt(at) {
      const number = lineOf(at);
      const start = starts?.[number - 1] ?? 0;
      const end = (starts?.[number] ?? text.length + 1) - 1;
      if (end - start > maxLineChars) return undefined;
      const line = text.slice(start, end).replace(/\r$/, "");
      if (line.trim() === "") return undefined;
      if (root === undefined) return firstKeyOf(line, at - start);
      spans ??= spansOf(root, shown);
      return mask(line, start, at, spans);
    },
  };
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
  return starts;
}

/** By halving, since a file may have many lines and many problems. */
function firstIndex<T>(sorted: readonly T[], isIt: (item: T) => boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isIt(sorted[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Without a tree nothing tells a secret from a key, so all after the first colon goes. */
function firstKeyOf(line: string, caret: number): Excerpt {
  const first = /^[\s\-{[]*(?:[\w.-]+\s*:(?=\s|$)\s*)?/.exec(line)?.[0] ?? "";
  const key = maskRandom(first);
  if (first.length === line.length) return { text: key, caret: Math.min(caret, key.length) };
  return { text: key + hidden, caret: Math.min(caret, key.length) };
}

function spansOf(root: Tree, shown: ReadonlySet<Tree>): Span[] {
  const spans: Span[] = [];
  const seen = new Set<Tree>();
  const walk = (tree: Tree): void => {
    if (seen.has(tree)) return;
    seen.add(tree);
    if (tree.kind === "list") tree.items.forEach(walk);
    else if (tree.kind === "scalar") {
      spans.push({ from: tree.at, to: tree.end, isShown: shown.has(tree) && !tree.isSecret });
    } else {
      for (const { at, end, tree: value } of tree.entries.values()) {
        spans.push({ from: at, to: end, isShown: true });
        walk(value);
      }
    }
  };
  walk(root);
  return spans.sort((a, b) => a.from - b.from);
}

function mask(line: string, start: number, at: number, spans: readonly Span[]): Excerpt {
  const end = start + line.length;
  let text = "";
  let done = start;
  let caret = -1;
  for (let i = firstIndex(spans, ({ to }) => to > start); i < spans.length; i++) {
    const { from, to, isShown } = spans[i] as Span;
    if (from >= end) break;
    if (to <= from) continue;
    text += punctuation(line.slice(done - start, Math.max(from, done) - start));
    if (caret < 0 && at <= from) caret = text.length - (from - at);
    const shown = line.slice(Math.max(from, start) - start, to - start);
    text += isShown ? maskRandom(withoutLogin(shown)) : hidden;
    done = Math.max(done, Math.min(to, end));
  }
  if (caret < 0) caret = text.length + Math.max(0, at - done);
  const rest = punctuation(line.slice(done - start));
  return { text: (text + rest).trimEnd(), caret: Math.max(0, caret) };
}

/** An address may hold a password, though its key is no secret. */
function withoutLogin(value: string): string {
  return value.replace(/\/\/[^/\s]*@/g, `//${hidden}@`);
}

/** What stands between keys and values: anything but punctuation is a comment, a tag, an alias. */
function punctuation(text: string): string {
  return /^[\s\-?:,[\]{}]*/.exec(text)?.[0] ?? "";
}
