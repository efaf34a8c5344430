import { nearest } from "../config/suggest.ts";
import { escapeControls, maskText } from "../kit/redact.ts";
import type { UsageProblem } from "./command.ts";

/** Longest part of a command line that is repeated in a message. */
const printedCharacters = 128;

/** Asks for what was probably meant, as the end of a message. */
export function hint(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `; did you mean \`${meant}\`?`;
}

/** A key pasted in the wrong place must not come back, nor a sequence that paints the terminal. */
export function printable(text: string): string {
  return escapeControls(maskText(text)).slice(0, printedCharacters);
}

/** Tells what is wrong and how to mend it. */
export function usage(code: string, message: string, mend: string): UsageProblem {
  return { code, message, mend };
}

/** The values that are allowed, as a mend. */
export function mendFor({ values }: { readonly values?: readonly string[] }): string | undefined {
  return values === undefined ? undefined : `one of: ${values.join(", ")}`;
}
