import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** A page of the documentation, by its path in the repository. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A fenced block. Words after its language tell what a test does with it. */
export interface Block {
  readonly line: number;
  readonly language: string;
  readonly words: readonly string[];
  /** What running it must print: `expect="…"`. */
  readonly expected: string | undefined;
  readonly text: string;
}

export interface Link {
  readonly line: number;
  readonly target: string;
}

/** README.md, SECURITY.md, CHANGELOG.md and all below docs. */
export function readPages(): readonly Page[] {
  const below = readdirSync(join(root, "docs"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
  return ["README.md", "SECURITY.md", "CHANGELOG.md", ...below].map((path) => ({
    path,
    text: readFileSync(join(root, path), "utf8"),
  }));
}

const fence = /^ *(`{3,})(.*)\n([\s\S]*?)^ *\1 *$/gm;

export function blocksOf({ text }: Page): readonly Block[] {
  return [...text.matchAll(fence)].map(({ index, 2: info = "", 3: content = "" }) => {
    const expected = /expect="([^"]*)"/.exec(info)?.[1];
    const [language = "", ...words] = info
      .replace(/expect="[^"]*"/, "")
      .trim()
      .split(/ +/);
    return { line: lineAt(text, index), language, words, expected, text: content };
  });
}

/** The targets of links and images, but not of what only looks like one in code. */
export function linksOf({ text }: Page): readonly Link[] {
  const prose = withoutCode(text);
  const inline = prose.matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g);
  const defined = prose.matchAll(/^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)/gm);
  return [...inline, ...defined].map(({ index, 1: target = "" }) => ({
    line: lineAt(text, index),
    target,
  }));
}

/** The anchors that GitHub makes of the headings. */
export function anchorsOf({ text }: Page): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, title = ""] of withoutFences(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const slug = title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, "")
      .replaceAll(" ", "-");
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Everything stays at its place, so that line numbers hold. */
function withoutFences(text: string): string {
  return text.replace(fence, blank);
}

function withoutCode(text: string): string {
  return withoutFences(text).replace(/(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)/g, blank);
}

function blank(code: string): string {
  return code.replace(/[^\n]/g, " ");
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
