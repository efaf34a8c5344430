const blanks = new Set([0x20, 0x09, 0x0a, 0x0d]);
/** Of the byte order mark, which may stand before all else. */
const mark = new Set([0xef, 0xbb, 0xbf]);

/** The first byte that says what a body is; undefined: there is none yet. */
export function firstByte(bytes: Uint8Array): number | undefined {
  return bytes.find((byte) => !blanks.has(byte) && !mark.has(byte));
}

/** Whether a body that begins with this byte may be a JSON object or list. */
export function opensJson(first: number | undefined): boolean {
  return first === 0x7b || first === 0x5b;
}

/** Whether bytes end as a JSON object or list does: one that was cut short hardly ever does. */
export function closesJson(bytes: Uint8Array): boolean {
  const last = bytes.findLast((byte) => !blanks.has(byte));
  return last === 0x7d || last === 0x5d;
}
