import { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";

/** Bounds on a body that is decoded: a bomb of 200 KB can hold 200 MB. */
export interface InflateLimits {
  /** Most decoded bytes. */
  readonly bytes: number;
  /** Most decoded bytes for each encoded one, once `ratioFloor` bytes are out. */
  readonly ratio: number;
  /** Decoded bytes below which no ratio is asked. */
  readonly ratioFloor: number;
}

type Transform = ReturnType<typeof createGunzip>;

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress as () => Transform,
  // Node 20 has no zstd; the name is then unknown, like any other.
  ...("createZstdDecompress" in zlib && {
    zstd: (zlib as unknown as { createZstdDecompress: () => Transform }).createZstdDecompress,
  }),
};

/**
 * Decodes a body within bounds.
 * @param encoding one content coding of RFC 9110, 8.4.1
 * @returns the decoded stream, which errors at a bound; undefined for a coding that is not known
 */
export function inflate(
  source: ReadableStream<Uint8Array>,
  encoding: string,
  limits: InflateLimits,
): ReadableStream<Uint8Array> | undefined {
  const name = encoding.trim().toLowerCase();
  const make = Object.hasOwn(decoders, name) ? decoders[name] : undefined;
  if (make === undefined) return undefined;
  const decoder = make();
  let encoded = 0;
  let decoded = 0;
  const input = Readable.from(count(source, (bytes) => (encoded += bytes)));
  input.on("error", (error) => decoder.destroy(error));
  input.pipe(decoder);
  const output = decoder[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await output.next();
        if (next.done) return controller.close();
        decoded += next.value.byteLength;
        const bomb = decoded > limits.ratioFloor && decoded > encoded * limits.ratio;
        if (bomb || decoded > limits.bytes) throw new RangeError("decoded body out of bounds");
        return controller.enqueue(new Uint8Array(next.value));
      },
      cancel() {
        input.destroy();
        decoder.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}

async function* count(
  source: ReadableStream<Uint8Array>,
  add: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const reader = source.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      add(value.byteLength);
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
