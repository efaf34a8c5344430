/** A tool's text as an API tells it that has no mark for errors. */
export function toErrorText(text: string, isError: boolean): string {
  return isError && !/^\s*error/i.test(text) ? `Error: ${text}` : text;
}
