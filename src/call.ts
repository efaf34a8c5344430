import type { CalledRoute, Dialect, FactValue } from "./contract/plugin.ts";
import type { Call, CallFacts } from "./contract/policy.ts";
import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import { type FactKeys, problemText, scanFacts } from "./kit/json-facts.ts";
import { estimateInput } from "./kit/token-estimate.ts";

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
  /** Gives the bytes back to the budget; call once. */
  release(): void;
}

/** Reads the whole body, within the limits; never more than the declared or allowed bytes. */
export async function readBody(
  x: RunningExchange,
  limits: BodyLimits,
  budget: BodyBudget,
): Promise<ReadBody | Refusal> {
  const encoding = x.header("content-encoding");
  if (encoding !== null && encoding !== "identity") return { code: "unsupported_media_type" };
  const declared = x.header("content-length");
  const length = declared === null ? undefined : Number(declared);
  if (length !== undefined && length > limits.bodyBytes) return { code: "body_too_large" };
  const reserved = length ?? limits.bodyBytes;
  if (budget.held + reserved > limits.bodyBytesInFlight) {
    return { code: "overloaded", retryAfterSeconds: 1 };
  }
  budget.held += reserved;
  let held = reserved;
  const release = (): void => {
    budget.held -= held;
    held = 0;
  };
  try {
    const bytes =
      length === undefined ? await readChunks(x, limits) : await readWhole(x, limits.bodyTimeoutMs);
    if (!(bytes instanceof Uint8Array)) {
      release();
      return bytes;
    }
    // The body is there: its deadline is over, and it holds no more than it is long.
    x.deadlineMs = Number.POSITIVE_INFINITY;
    budget.held -= held - bytes.byteLength;
    held = bytes.byteLength;
    return { bytes, release };
  } catch {
    release();
    return x.stopped ?? { code: "bad_request", message: "The request body broke off." };
  }
}

/** The runtime reads exactly the declared length, which is within the limit. */
function readWhole(x: RunningExchange, timeoutMs: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    x.expect("body_timeout", timeoutMs, (refusal) => reject(new Error(refusal.code)));
    x.request.arrayBuffer().then((buffer) => resolve(new Uint8Array(buffer)), reject);
  });
}

async function readChunks(x: RunningExchange, limits: BodyLimits): Promise<Uint8Array | Refusal> {
  const reader = x.request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const cancel = (): void => void reader.cancel().catch(() => {});
  x.expect("body_timeout", limits.bodyTimeoutMs, cancel);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (x.stopped !== undefined) return x.stopped;
    if (done) break;
    size += value.byteLength;
    if (size > limits.bodyBytes) {
      cancel();
      return { code: "body_too_large" };
    }
    chunks.push(value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** A call whose facts are known. */
export interface ParsedCall {
  readonly call: Call;
  readonly dialect: Dialect;
  readonly body: Uint8Array;
  /** Where the value of `model` stands in the body. */
  readonly modelStart: number;
  readonly modelEnd: number;
}

/** The facts, and an estimate for whoever asks; the first answer lets go of the body. */
class EstimatedCall implements Call {
  readonly model: string;
  readonly stream: boolean;
  readonly maxTokens: number | undefined;
  readonly bodyBytes: number;
  readonly verb?: string;
  #body: Uint8Array | undefined;
  #inputTokens = 0;

  constructor(facts: CallFacts, body: Uint8Array) {
    this.model = facts.model;
    this.stream = facts.stream;
    this.maxTokens = facts.maxTokens;
    this.bodyBytes = facts.bodyBytes;
    if (facts.verb !== undefined) this.verb = facts.verb;
    this.#body = body;
  }

  inputTokens(): number {
    if (this.#body !== undefined) this.#inputTokens = estimateInput(this.#body);
    this.#body = undefined;
    return this.#inputTokens;
  }
}

/** Stands for an object or a list; no string can be taken for it. */
const nested = Symbol("nested");

/** Reads the facts from the bytes of a body; what was inspected is what goes upstream. */
export function parseCall(
  body: Uint8Array,
  dialect: Dialect,
  keys: FactKeys,
  route: CalledRoute,
): ParsedCall | Refusal {
  const scan = scanFacts(body, keys);
  if (!scan.ok) return { code: "bad_request", message: problemText(scan.problem, scan.offset) };
  const { facts } = scan;
  const model = facts.get("model");
  const read = (key: string): FactValue => {
    const fact = facts.get(key);
    if (fact === undefined) return undefined;
    return fact.value === undefined ? nested : fact.value;
  };
  const told = dialect.readCall(read, body.byteLength, route);
  if (typeof told === "string") return { code: "bad_request", message: told };
  return {
    call: new EstimatedCall(told, body),
    dialect,
    body,
    modelStart: model?.start ?? 0,
    modelEnd: model?.end ?? 0,
  };
}

/** The body with another model name in place; spliced, so that no other byte changes. */
export function withModel(parsed: ParsedCall, model: string): Uint8Array {
  if (parsed.call.model === model) return parsed.body;
  if (parsed.dialect.rename !== undefined) return parsed.dialect.rename(parsed.body, model);
  const name = new TextEncoder().encode(JSON.stringify(model));
  const { body, modelStart, modelEnd } = parsed;
  const out = new Uint8Array(body.byteLength - (modelEnd - modelStart) + name.byteLength);
  out.set(body.subarray(0, modelStart));
  out.set(name, modelStart);
  out.set(body.subarray(modelEnd), modelStart + name.byteLength);
  return out;
}
