function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** Of the byte order mark, which may stand before all else. */
function isMark(byte: number): boolean {
  return byte === 0xef || byte === 0xbb || byte === 0xbf;
}

/** The first byte that says what a body is; undefined: there is none yet. */
export function firstByte(bytes: Uint8Array): number | undefined {
  let at = 0;
  while (at < bytes.length && (isBlank(bytes[at] as number) || isMark(bytes[at] as number))) at++;
  return bytes[at];
}

/** Whether a body that begins with this byte may be a JSON object or list. */
export function opensJson(first: number | undefined): boolean {
  return first === 0x7b || first === 0x5b;
}

/** Whether bytes end as a JSON object or list does: one that was cut short hardly ever does. */
export function closesJson(bytes: Uint8Array): boolean {
  let at = bytes.length - 1;
  while (at >= 0 && isBlank(bytes[at] as number)) at--;
  const last = bytes[at];
  return last === 0x7d || last === 0x5d;
}
