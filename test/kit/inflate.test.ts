import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { type InflateLimits, inflate } from "../../src/kit/inflate.ts";

const text = `{"text":"${"naïve façade 🦊 ".repeat(200)}"}`;
const wide: InflateLimits = { bytes: 1e9, ratio: 1e6, ratioFloor: 1e9 };

/** The bytes in pieces, and how many of them were asked for. */
function source(bytes: Uint8Array, piece = bytes.byteLength) {
  let at = 0;
  const state = { cancelled: false, given: 0 };
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= bytes.byteLength) return controller.close();
        const part = bytes.subarray(at, at + piece);
        at += part.byteLength;
        state.given = at;
        return controller.enqueue(new Uint8Array(part));
      },
      cancel() {
        state.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { body, state };
}

async function decode(
  bytes: Uint8Array,
  coding: string,
  limits = wide,
  piece?: number,
): Promise<string> {
  const stream = inflate(source(bytes, piece).body, coding, limits);
  if (stream === undefined) return "<unknown>";
  return new Response(stream).text().catch((error: Error) => `<${error.name}>`);
}

describe("inflate", () => {
  const coders: readonly (readonly [coding: string, encode: (text: string) => Uint8Array])[] = [
    ["gzip", gzipSync],
    ["x-gzip", gzipSync],
    ["GZIP ", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
  ];
  test.each(coders)("%s, whole and byte by byte", async (coding, encode) => {
    expect(await decode(encode(text), coding)).toBe(text);
    expect(await decode(encode(text), coding, wide, 1)).toBe(text);
  });

  const unknown = ["compress", "x-rot13", "gzip, gzip", "", "identity", "constructor", "__proto__"];
  test.each(unknown)("unknown: %p", async (coding) => {
    expect(await decode(gzipSync(text), coding)).toBe("<unknown>");
  });

  const broken: readonly (readonly [name: string, bytes: Uint8Array])[] = [
    ["cut off", gzipSync(randomBytes(5000)).subarray(0, 2500)],
    ["without its last byte", gzipSync(text).subarray(0, -1)],
    ["no gzip", new TextEncoder().encode("hello")],
    [
      "wrong checksum",
      gzipSync(text).map((byte, i, all) => (i === all.length - 6 ? byte ^ 1 : byte)),
    ],
  ];
  test.each(broken)("broken, never a clean end: %s", async (_name, bytes) => {
    expect(await decode(bytes, "gzip")).toMatch(/^<\w*Error>$/);
  });

  test("a source that breaks breaks the output", async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(gzipSync(text).subarray(0, 40)));
        controller.error(new Error("reset"));
      },
    });
    const stream = inflate(body, "gzip", wide);
    expect(new Response(stream).text()).rejects.toThrow();
  });

  const size = 100_000;
  const even = gzipSync(Buffer.alloc(size, 0x20));
  const bounds: readonly (readonly [name: string, limits: Partial<InflateLimits>, ok: boolean])[] =
    [
      ["bytes at the limit", { bytes: size }, true],
      ["bytes one above", { bytes: size - 1 }, false],
      ["ratio, below its floor", { ratio: 2, ratioFloor: size }, true],
      ["ratio, above its floor", { ratio: 2, ratioFloor: size - 1 }, false],
      ["ratio kept", { ratio: size / even.byteLength + 1, ratioFloor: 10 }, true],
    ];
  test.each(bounds)("%s", async (_name, limits, ok) => {
    const decoded = await decode(even, "gzip", { ...wide, ...limits });
    expect(decoded.length === size).toBe(ok);
    if (!ok) expect(decoded).toBe("<RangeError>");
  });

  test("a bomb is stopped early: neither read nor decoded to its end", async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000, 0x20));
    const { body, state } = source(bomb, 1000);
    const before = process.memoryUsage.rss();
    const stream = inflate(body, "gzip", { bytes: 1e9, ratio: 200, ratioFloor: 1_000_000 });
    expect(new Response(stream).text()).rejects.toThrow("out of bounds");
    await Bun.sleep(50);
    expect(state.given).toBeLessThan(bomb.byteLength / 2);
    expect(process.memoryUsage.rss() - before).toBeLessThan(50_000_000);
  });

  test("a reader that leaves cancels the source", async () => {
    const { body, state } = source(gzipSync(randomBytes(1_000_000)), 1000);
    const reader = inflate(body, "gzip", wide)?.getReader();
    await reader?.read();
    await reader?.cancel();
    await Bun.sleep(20);
    expect(state.cancelled).toBe(true);
    expect(state.given).toBeLessThan(1_000_000);
  });
});
