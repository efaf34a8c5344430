/** Tokens that thinking may take at each level; the first levels are Anthropic's least budget. */
const budgets = [
  ["minimal", 1024],
  ["low", 2048],
  ["medium", 8192],
  ["high", 24_576],
  ["xhigh", 32_768],
  ["max", 49_152],
] as const;

type Level = (typeof budgets)[number][0];

/** All levels that any API names, the lowest first. */
export const knownEfforts = ["none", ...budgets.map(([level]) => level)] as const;

type Effort = (typeof knownEfforts)[number];

export function isEffort(level: string): level is Effort {
  return (knownEfforts as readonly string[]).includes(level);
}

/** The level that OpenAI's APIs take for an effort or a budget; undefined: theirs to choose. */
export function toOpenaiEffort(
  effort: Effort | undefined,
  budgetTokens: number | undefined,
): Effort | undefined {
  if (effort === undefined && budgetTokens === undefined) return undefined;
  const level = effort ?? toEffort(budgetTokens ?? 0);
  return level === "max" ? "xhigh" : level;
}

/** The budget of a level, in tokens; `none` has none. */
export function toBudget(effort: string): number {
  return budgets.find(([level]) => level === effort)?.[1] ?? 0;
}

/** The lowest level whose budget is enough. */
export function toEffort(budgetTokens: number): Level | "none" {
  if (budgetTokens === 0) return "none";
  // Below zero: the model decides.
  if (budgetTokens < 0) return "medium";
  return budgets.find(([, budget]) => budget >= budgetTokens)?.[0] ?? "max";
}

/** A level that a dialect knows: the nearest below if there is one, else the lowest. */
export function nearestEffort<const Known extends string>(
  effort: string,
  known: readonly Known[],
): Known {
  const order: readonly string[] = knownEfforts;
  const at = order.indexOf(effort);
  const below = known.filter((level) => order.indexOf(level) <= at).at(-1);
  return below ?? (known[0] as Known);
}
