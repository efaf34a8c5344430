import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";

/** Bounds on bodies: together they keep a small container alive. */
export interface BodyLimits {
  /** Largest body, in bytes. */
  readonly bodyBytes: number;
  /** All bodies in flight, in bytes. */
  readonly bodyBytesInFlight: number;
  readonly bodyTimeoutMs: number;
}

/** Bytes of bodies that the process holds; shared by all generations. */
export interface BodyBudget {
  held: number;
}

export interface ReadBody {
  readonly bytes: Uint8Array;
  readonly hold: Hold;
}

/**
 * Bodies up to this length are read and sent in one go: cheaper than a stream. Of each body the
 * runtime's fetch keeps about as much until the answer has ended, so the budget does, too.
 */
export const shortBodyBytes = 128 * 1024;

/** Gives memory back at once; a collector would let long bodies pile up. */
export type Free = (bytes: Uint8Array) => void;

/** Reads the whole body, within the limits; never more than the declared or allowed bytes. */
export async function readBody(
  x: RunningExchange,
  limits: BodyLimits,
  budget: BodyBudget,
  free: Free,
): Promise<ReadBody | Refusal> {
  const encoding = x.header("content-encoding");
  if (encoding !== null && encoding !== "identity") return { code: "unsupported_media_type" };
  const declared = x.header("content-length");
  const length = declared === null ? undefined : Number(declared);
  if (length !== undefined && !(length <= limits.bodyBytes)) return tooLarge;
  const hold = new Hold(budget, limits.bodyBytesInFlight);
  if (!hold.resize(length ?? Math.min(shortBodyBytes, limits.bodyBytes))) return noRoom;
  try {
    const bytes =
      length !== undefined && length <= shortBodyBytes
        ? await readShort(x, limits.bodyTimeoutMs)
        : await readLong(x, limits, length, hold, free);
    if (!(bytes instanceof Uint8Array)) {
      hold.release();
      return bytes;
    }
    // The body is there: its deadline is over, and it holds no more than it is long.
    x.deadlineMs = Number.POSITIVE_INFINITY;
    hold.resize(bytes.byteLength);
    return { bytes, hold };
  } catch {
    hold.release();
    return x.stopped ?? { code: "bad_request", message: "The request body broke off." };
  }
}

const noRoom: Refusal = { code: "overloaded", retryAfterSeconds: 1 };

/** What one body holds of the budget. */
export class Hold {
  readonly #budget: BodyBudget;
  readonly #most: number;
  #size = 0;

  constructor(budget: BodyBudget, most: number) {
    this.#budget = budget;
    this.#most = most;
  }

  /** False: there is no room for so many bytes, and nothing has changed. */
  resize(bytes: number): boolean {
    const more = bytes - this.#size;
    if (more > 0 && this.#budget.held + more > this.#most) return false;
    this.#budget.held += more;
    this.#size = bytes;
    return true;
  }

  /** The body is needed no longer: gives back what exceeds a short one's length. */
  shrink(): void {
    if (this.#size > shortBodyBytes) this.resize(shortBodyBytes);
  }

  /** Gives all back; later calls do nothing. */
  release(): void {
    this.resize(0);
  }
}

/** The runtime reads exactly the declared length, which is within the limit. */
function readShort(x: RunningExchange, timeoutMs: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    x.expect("body_timeout", timeoutMs, (refusal) => reject(new Error(refusal.code)));
    x.request.arrayBuffer().then((buffer) => resolve(new Uint8Array(buffer)), reject);
  });
}

/**
 * Reads into one buffer: a runtime that collects the chunks of a long body by itself holds it
 * three times. Without a declared length the buffer grows as the body comes, and so does what it
 * holds.
 */
async function readLong(
  x: RunningExchange,
  { bodyBytes, bodyTimeoutMs }: BodyLimits,
  length: number | undefined,
  hold: Hold,
  free: Free,
): Promise<Uint8Array | Refusal> {
  const reader = x.request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const cancel = (): void => void reader.cancel().catch(() => {});
  x.expect("body_timeout", bodyTimeoutMs, cancel);
  let whole: Uint8Array = new Uint8Array(length ?? Math.min(shortBodyBytes, bodyBytes));
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (x.stopped !== undefined) return x.stopped;
    if (done) break;
    const end = size + value.byteLength;
    if (end > whole.byteLength) {
      const capacity = Math.min(bodyBytes, 2 * end);
      const refusal = end > bodyBytes ? tooLarge : hold.resize(capacity) ? undefined : noRoom;
      if (refusal !== undefined) {
        cancel();
        return refusal;
      }
      whole = resized(whole, size, capacity, free);
    }
    whole.set(value, size);
    free(value);
    size = end;
  }
  return size === whole.byteLength ? whole : resized(whole, size, size, free);
}

const tooLarge: Refusal = { code: "body_too_large" };

function resized(bytes: Uint8Array, size: number, capacity: number, free: Free): Uint8Array {
  const next = new Uint8Array(capacity);
  next.set(bytes.subarray(0, size));
  free(bytes);
  return next;
}
