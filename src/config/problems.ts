import { maskRandom } from "../kit/random-text.ts";

/** One thing that is wrong with the configuration, and how to mend it. */
export interface ConfigProblem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Dotted YAML path; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly mend: string;
  /** The line of the file, with all that might be a secret left out. */
  readonly excerpt?: Excerpt;
}

export interface Excerpt {
  readonly text: string;
  /** Where the caret goes, from 0. */
  readonly caret: number;
}

/** Longest part of a source line that is shown. */
const excerptChars = 96;

/**
 * Writes problems for a terminal, each as `file:line:column  path  message`, mend, source line.
 * @param options `color`: with ANSI colours
 */
export function formatProblems(
  problems: readonly ConfigProblem[],
  options: { readonly color: boolean },
): string {
  const paint = (code: number, text: string): string =>
    options.color && text !== "" ? `\u001b[${code}m${text}\u001b[0m` : text;
  const blocks = problems.map((problem) => {
    const { file, line, column, path, message, mend, excerpt } = problem;
    const where = paint(1, printable(`${file}:${line}:${column}`));
    const head = [where, paint(36, printable(path)), paint(31, printable(message))];
    const lines = [head.filter((part) => part !== "").join("  ")];
    if (mend !== "") lines.push(`    mend: ${printable(mend)}`);
    if (excerpt !== undefined) lines.push(...excerptLines(excerpt, line, paint));
    return `${lines.join("\n")}\n`;
  });
  return blocks.join("");
}

function excerptLines(
  { text, caret }: Excerpt,
  line: number,
  paint: (code: number, text: string) => string,
): string[] {
  const from = Math.max(0, caret - excerptChars + 16);
  const shown = printable(text.slice(from, from + excerptChars).replaceAll("\t", " "));
  const gutter = `    ${line} | `;
  return [paint(2, gutter) + shown, " ".repeat(gutter.length + caret - from) + paint(31, "^")];
}

/** A key or a value could otherwise drive the terminal that shows it. */
/** A secret may stand anywhere by mistake, even where a key or a protocol should. */
function printable(text: string): string {
  return maskRandom(text).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
}
