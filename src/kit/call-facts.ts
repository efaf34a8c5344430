/** Longest model name, in UTF-16 units. */
export const maxModelLength = 256;

const ascii = /^[\x20-\x7e]+$/;
const printable = /^[^\p{C}\p{Zl}\p{Zp}]+$/u;

/** Says what is wrong with a model name and how to mend it; undefined when it is good. */
export function modelProblem(model: unknown): string | undefined {
  if (typeof model !== "string" || model === "") {
    return "`model` must name a model as a non-empty string. GET /v1/models lists what there is.";
  }
  if (model.length > maxModelLength) {
    return `\`model\` is longer than ${maxModelLength} characters. GET /v1/models lists what there is.`;
  }
  if (ascii.test(model) || printable.test(model)) return undefined;
  return "`model` holds characters that are not printable. GET /v1/models lists what there is.";
}

/** Says what is wrong with `stream`; undefined when it is good. */
export function streamProblem(stream: unknown): string | undefined {
  if (stream === undefined || stream === null || typeof stream === "boolean") return undefined;
  return "`stream` must be true or false, without quotes; leave it out for one whole reply.";
}

/** Says what is wrong with a limit of output tokens; undefined when it is good or absent. */
export function maxTokensProblem(key: string, limit: unknown): string | undefined {
  return isCount(limit)
    ? undefined
    : `\`${key}\` must be a whole number of tokens from 1, without quotes.`;
}

/** Says what is wrong with a number of replies; undefined when it is good or absent. */
export function countProblem(key: string, count: unknown): string | undefined {
  return isCount(count) ? undefined : `\`${key}\` must be a whole number from 1, without quotes.`;
}

function isCount(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return Number.isSafeInteger(value) && (value as number) > 0;
}
