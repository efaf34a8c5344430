/** How long the fuzzers run: short and the same each time, unless `npm run fuzz` says otherwise. */
export interface Fuzzing {
  readonly runs: number;
  readonly seed: number;
  readonly timeoutMs: number;
}

/** @param usual runs in `npm test`; FUZZ_FACTOR multiplies it, FUZZ_SEED chooses other ones */
export function fuzzing(usual: number): Fuzzing {
  const factor = Number(process.env.FUZZ_FACTOR ?? 1);
  const given = process.env.FUZZ_SEED;
  const seed = given ?? (factor > 1 ? Date.now() & 0x7fffffff : 20_260_101);
  return { runs: usual * factor, seed: Number(seed), timeoutMs: 20_000 * factor };
}
