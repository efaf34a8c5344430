import type { CalledRoute, Dialect, FactValue } from "./contract/plugin.ts";
import type { Call, CallFacts } from "./contract/policy.ts";
import type { Refusal } from "./errors.ts";
import type { FactKeys } from "./kit/fact-keys.ts";
import { problemText, scanFacts } from "./kit/json-facts.ts";
import { estimateInput } from "./kit/token-estimate.ts";

/** A call whose facts are known. */
export interface ParsedCall {
  readonly call: EstimatedCall;
  readonly dialect: Dialect;
  readonly body: Uint8Array;
  /** Where the value of `model` stands in the body. */
  readonly modelStart: number;
  readonly modelEnd: number;
}

/** The facts, and an estimate for whoever asks while the body is there. */
export class EstimatedCall implements Call {
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

  /**
   * The body goes. A stream outlives it, and so may the wish to know how many tokens it was.
   * @param isOver nobody will ask any more: a long body is not read once more for nothing
   */
  letGo(isOver: boolean): void {
    if (!isOver) this.inputTokens();
    this.#body = undefined;
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
  const raw = (key: string): Uint8Array | undefined => {
    const fact = facts.get(key);
    return fact && body.subarray(fact.start, fact.end);
  };
  const told = dialect.readCall(read, body.byteLength, route, raw);
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
