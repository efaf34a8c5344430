/** A token is refreshed a fifth of its life before its end, but so many milliseconds at most. */
const mostAheadMs = 5 * 60_000;
/** Two machines with the same token should not ask at the same moment: up to so much earlier. */
const jitterShare = 0.2;

const firstBackOffMs = 1000;
/** Longest wait after failures, in milliseconds. */
export const longestBackOffMs = 5 * 60_000;

/**
 * How long before its expiry a token is refreshed, in milliseconds.
 * @param lifeMs how long it is good from now on
 * @param random from 0 to 1
 */
export function refreshAheadMs(lifeMs: number, random: number): number {
  const ahead = Math.min(mostAheadMs, Math.max(0, lifeMs) / 5);
  return ahead * (1 + jitterShare * random);
}

/** How long to wait after so many failures in a row, in milliseconds: twice as long each time. */
export function backOffMs(failures: number, random: number): number {
  const wait = Math.min(longestBackOffMs, firstBackOffMs * 2 ** Math.min(failures - 1, 30));
  return wait * (1 - jitterShare * random);
}
