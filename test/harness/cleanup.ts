const pending: (() => unknown)[] = [];

/** Registers what must end with the test file, whether its tests pass or not. */
export function onCleanup(end: () => unknown): void {
  pending.push(end);
}

/** Ends all that was registered, the last first; every test file that starts something calls it. */
export async function cleanUp(): Promise<void> {
  const failures: unknown[] = [];
  for (const end of pending.splice(0).reverse()) {
    try {
      await end();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "clean-up failed");
}
