/** Where a value stands in the bytes around it. */
export interface ItemSpan {
  readonly start: number;
  readonly end: number;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;

/**
 * Finds the items of a JSON array whose bytes a strict scan has checked already.
 * @param list from its `[` to its `]`
 * @param most items; more are not looked for
 * @returns undefined when it is no array, or has more than `most` items
 */
export function itemSpans(list: Uint8Array, most: number): readonly ItemSpan[] | undefined {
  if (list[0] !== 0x5b) return undefined;
  const spans: ItemSpan[] = [];
  let depth = 0;
  let start = -1;
  const take = (end: number): void => {
    if (start >= 0) spans.push({ start, end });
    start = -1;
  };
  for (let i = 1; i < list.length - 1; i++) {
    const c = list[i] as number;
    if (c <= 0x20) continue;
    if (c === comma && depth === 0) {
      take(i);
      if (spans.length >= most) return undefined;
      continue;
    }
    if (start < 0) start = i;
    if (c === quote) i = stringEnd(list, i + 1);
    else if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  take(list.length - 1);
  return spans;
}

/** Where the quote is that ends a string. */
function stringEnd(bytes: Uint8Array, from: number): number {
  for (let i = from; ; i++) {
    const at = bytes.indexOf(quote, i);
    if (at < 0) return bytes.length;
    let before = at - 1;
    while (bytes[before] === backslash) before--;
    if (((at - before) & 1) === 1) return at;
    i = at;
  }
}
