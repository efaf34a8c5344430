/** What a `prompt` or an `input` holds: texts, some of them told by their tokens. */
export interface Given {
  /** Undefined where only tokens were given. */
  readonly text: string | undefined;
  readonly tokens: readonly number[];
}

/** Most texts that one request may hold. */
export const maxTexts = 2048;

/**
 * Reads a text, a list of texts, a list of tokens or a list of such lists.
 * @returns undefined when it is none of them, or holds none or too many
 */
export function readTexts(value: unknown): readonly Given[] | undefined {
  if (typeof value === "string") return [{ text: value, tokens: [] }];
  if (isTokens(value)) return [{ text: undefined, tokens: value }];
  if (!Array.isArray(value) || value.length === 0 || value.length > maxTexts) return undefined;
  const given: Given[] = [];
  for (const item of value as unknown[]) {
    if (typeof item === "string") given.push({ text: item, tokens: [] });
    else if (isTokens(item)) given.push({ text: undefined, tokens: item });
    else return undefined;
  }
  return given;
}

function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every(Number.isSafeInteger);
}
