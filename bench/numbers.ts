/** Small statistics. NaN means "not measured" and is left out. */
export function median(values: readonly number[]): number {
  const sorted = values.filter((v) => !Number.isNaN(v)).sort((a, b) => a - b);
  const [low, high] = [(sorted.length - 1) >> 1, sorted.length >> 1];
  return ((sorted[low] ?? Number.NaN) + (sorted[high] ?? Number.NaN)) / 2;
}

/** Smallest and largest value. */
export function rangeOf(values: readonly number[]): readonly [number, number] {
  const known = values.filter((v) => !Number.isNaN(v));
  return known.length === 0 ? [Number.NaN, Number.NaN] : [Math.min(...known), Math.max(...known)];
}

export function show(value: number, digits = 0): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "-";
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
