import { Buffer } from "node:buffer";

/** The names of the facts, in the two forms in which a body's keys are looked up. */
export interface FactKeys<Name extends string = string> {
  readonly exact: ReadonlyMap<string, Name>;
  readonly folded: ReadonlySet<string>;
  /** By length: most keys are plain ASCII, and are looked up by their bytes. */
  readonly spelled: readonly (readonly SpelledKey<Name>[] | undefined)[];
  /** Those whose strings are text for a model: nobody compares them, so any character goes. */
  readonly texts: ReadonlySet<string>;
}

/** A name as it is spelled, and in small letters. */
interface SpelledKey<Name> {
  readonly name: Name;
  readonly exact: Uint8Array;
  readonly lower: Uint8Array;
}

/**
 * Compiles the names of the facts; call it once, at load.
 * @param names all top-level keys that any policy reads, those of objects and arrays too
 * @param texts those of them whose strings are text for a model
 */
export function defineFactKeys<const Name extends string>(
  names: readonly Name[],
  texts: readonly Name[] = [],
): FactKeys<Name> {
  const folded = new Set(names.map(fold));
  if (folded.size !== names.length) throw new Error("two fact keys look alike");
  const spelled: SpelledKey<Name>[][] = [];
  for (const name of names) {
    const exact = Buffer.from(name);
    const lower = Buffer.from(name.toLowerCase());
    spelled[exact.length] = [...(spelled[exact.length] ?? []), { name, exact, lower }];
  }
  const exact = new Map(names.map((name) => [name, name]));
  return { exact, folded, spelled, texts: new Set(texts) };
}

/**
 * Looks a plain key up by its bytes: the house sees a dozen of them per request, and a string would
 * have to be made for each.
 * @returns its name; `variant` where it differs from one in case alone; undefined: it is no fact
 */
export function findPlain(
  { spelled }: FactKeys,
  bytes: Uint8Array,
  from: number,
  to: number,
): { readonly name: string } | "variant" | undefined {
  for (const known of spelled[to - from] ?? nothing) {
    const likeness = compare(bytes, from, known);
    if (likeness === "same") return known;
    if (likeness === "variant") return likeness;
  }
  return undefined;
}

const nothing: readonly never[] = [];

function compare(
  bytes: Uint8Array,
  at: number,
  { exact, lower }: SpelledKey<string>,
): "same" | "variant" | "other" {
  let isSame = true;
  for (let i = 0; i < exact.length; i++) {
    const c = bytes[at + i] as number;
    if (c === exact[i]) continue;
    isSame = false;
    if ((c >= 0x41 && c <= 0x5a ? c + 0x20 : c) !== lower[i]) return "other";
  }
  return isSame ? "same" : "variant";
}

/** Letters, digits and `_`: folding them changes no length, and they need no decoding. */
export function isPlain(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const c = bytes[i] as number;
    const isLetter = (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a);
    if (!isLetter && c !== 0x5f && !(c >= 0x30 && c <= 0x39)) return false;
  }
  return true;
}

// What a key looks like to parsers that fold case (Go, Java) or stop at NUL (C). Up, then down,
// since that also folds U+017F, U+0131 and U+212A; U+0130 leaves a dot behind.
export function fold(key: string): string {
  const folded = key.toUpperCase().toLowerCase();
  return /^[a-z0-9_]*$/.test(folded) ? folded : folded.replace(/\u0307|\0[\s\S]*/g, "");
}
