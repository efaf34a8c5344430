import type { Io } from "../command.ts";

/**
 * Goes through long work, and says on a terminal how far it is; elsewhere nothing.
 * @param items what is worked on, in this order
 */
export async function withProgress<T>(
  io: Io,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  try {
    for (const [i, item] of items.entries()) {
      if (io.errIsTerminal) io.err(`\r${i} of ${items.length} `);
      await work(item);
    }
  } finally {
    if (io.errIsTerminal && items.length > 0) io.err("\r\u001b[K");
  }
}
