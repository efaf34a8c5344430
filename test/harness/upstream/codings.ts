import type { Transform } from "node:stream";
import * as zlib from "node:zlib";

const coders = {
  gzip: [zlib.gzipSync, zlib.createGzip, zlib.constants.Z_SYNC_FLUSH],
  deflate: [zlib.deflateSync, zlib.createDeflate, zlib.constants.Z_SYNC_FLUSH],
  br: [zlib.brotliCompressSync, zlib.createBrotliCompress, zlib.constants.BROTLI_OPERATION_FLUSH],
  zstd: [zlib.zstdCompressSync, zlib.createZstdCompress, zlib.constants.ZSTD_e_flush],
} as const;

/** A content coding that clients of vendors meet. */
export type Coding = keyof typeof coders;

export const codings = Object.keys(coders) as readonly Coding[];

/** A whole body in a coding. */
export function encode(coding: Coding, text: string | Uint8Array): Buffer {
  return coders[coding][0](text);
}

/** A body in a coding, flushed after each piece, so that each can be decoded at once. */
export async function encodedPieces(
  coding: Coding,
  pieces: readonly string[],
): Promise<readonly Buffer[]> {
  const [, create, flush] = coders[coding];
  const coder = create() as Transform & { flush(kind: number, done: () => void): void };
  const out: Buffer[] = [];
  let pending: Buffer[] = [];
  coder.on("data", (data: Buffer) => pending.push(data));
  const take = (): void => {
    out.push(Buffer.concat(pending));
    pending = [];
  };
  for (const piece of pieces) {
    coder.write(piece);
    await new Promise<void>((resolve) => coder.flush(flush, resolve));
    take();
  }
  const ended = new Promise<void>((resolve) => void coder.once("end", resolve));
  coder.end();
  await ended;
  take();
  return out;
}
