/** Something wrong at an offset of the text. */
export interface Fault {
  readonly at: number;
  readonly path: readonly string[];
  readonly message: string;
  readonly mend: string;
}

export function toFault(at: number, path: readonly string[], message: string, mend: string): Fault {
  return { at, path, message, mend };
}
