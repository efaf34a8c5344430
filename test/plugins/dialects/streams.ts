import { expect } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Dialect } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";

export type StreamEnd = ReturnType<ReturnType<Dialect["readStream"]>["end"]>;

/** A stream, how it ends and what it reports. */
export type StreamCase = readonly [name: string, text: string, end: StreamEnd, usage?: Usage];

/** Reads a stream whole, cut at every byte, byte by byte and at random, with LF, CRLF and CR. */
export function expectStream(dialect: Dialect, [, text, end, usage]: StreamCase): void {
  for (const lineEnd of ["\n", "\r\n", "\r"]) {
    const bytes = Buffer.from(text.replaceAll("\n", lineEnd));
    const check = (cuts: readonly number[]): void => {
      expect(read(dialect, bytes, cuts)).toEqual({ end, usage });
    };
    check([]);
    for (let at = 0; at <= bytes.length; at++) check([at]);
    check([...bytes.keys()]);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        check(cuts.sort((a, b) => a - b));
      }),
      { numRuns: 50 },
    );
  }
}

function read(dialect: Dialect, bytes: Buffer, cuts: readonly number[]) {
  const reader = dialect.readStream();
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    reader.push(bytes.subarray(from, to));
    from = to;
  }
  return { end: reader.end(), usage: reader.usage };
}

/** Serves a fixed answer to every request on a free port. */
export async function withServer(
  answer: () => Response,
  use: (origin: string) => Promise<void>,
): Promise<void> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  try {
    await use(`http://127.0.0.1:${server.port}`);
  } finally {
    await server.stop(true);
  }
}

/** What a promise is rejected with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not rejected");
}
