/** The clock of the machine; tests use one that they turn by hand. */
export const systemClock = {
  now: (): number => Date.now(),
  mono: (): number => performance.now(),
};
