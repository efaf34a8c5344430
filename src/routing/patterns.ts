/** A name of models in which `*` stands for any text. */
export interface ModelPattern {
  matches(model: string): boolean;
  /** What the stars stand for, put into another name with as many. */
  fill(model: string, into: string): string;
}

/** Undefined: the name has no `*`, and means itself. */
export function toPattern(name: string): ModelPattern | undefined {
  const pieces = name.split("*");
  if (pieces.length === 1) return undefined;
  return {
    matches: (model) => runsOf(pieces, model) !== undefined,
    fill(model, into) {
      const runs = runsOf(pieces, model) ?? [];
      let at = 0;
      return into.replace(/\*/g, () => runs[at++] ?? "");
    },
  };
}

/**
 * What stands between the pieces of a pattern, in time linear to the name: no pattern makes clients
 * wait. Undefined: it does not match.
 */
function runsOf(pieces: readonly string[], model: string): string[] | undefined {
  const first = pieces[0] as string;
  const last = pieces.at(-1) as string;
  if (!model.startsWith(first) || !model.endsWith(last)) return undefined;
  const end = model.length - last.length;
  const runs: string[] = [];
  let from = first.length;
  if (from > end) return undefined;
  for (const piece of pieces.slice(1, -1)) {
    const at = model.indexOf(piece, from);
    if (at < 0 || at + piece.length > end) return undefined;
    runs.push(model.slice(from, at));
    from = at + piece.length;
  }
  runs.push(model.slice(from, end));
  return runs;
}

/** Whether a name is one of a list, in which `*` stands for any text. */
export function createMatcher(names: readonly string[]): (model: string) => boolean {
  const plain = new Set(names);
  const patterns = names.flatMap((name) => toPattern(name) ?? []);
  return (model) => plain.has(model) || patterns.some((pattern) => pattern.matches(model));
}
