import type { CalledRoute, Dialect, FactValue } from "./contract/plugin.ts";
import type { Call, CallFacts } from "./contract/policy.ts";
import type { TextPart } from "./contract/text.ts";
import type { Refusal } from "./errors.ts";
import type { FactKeys } from "./kit/fact-keys.ts";
import { problemText, scanFacts } from "./kit/json-facts.ts";
import { estimateInput } from "./kit/token-estimate.ts";
import { type CallEdit, TextDocument, TextFault } from "./texts/document.ts";

/** A call whose facts are known. */
export interface ParsedCall {
  readonly call: EstimatedCall;
  readonly dialect: Dialect;
  readonly body: Uint8Array;
  /** Where the value of `model` stands in the body. */
  readonly modelStart: number;
  readonly modelEnd: number;
}

/** How a body is read. */
interface Reading {
  readonly dialect: Dialect;
  readonly keys: FactKeys;
  readonly route: CalledRoute;
}

/** The facts, and what is made of the body while it is there for whoever asks. */
export class EstimatedCall implements Call {
  model: string;
  readonly stream: boolean;
  maxTokens: number | undefined;
  bodyBytes: number;
  readonly verb?: string;
  readonly #reading: Reading;
  #body: Uint8Array | undefined;
  #estimated: number | undefined = undefined;
  #document: TextDocument | undefined = undefined;

  constructor(facts: CallFacts, body: Uint8Array, reading: Reading) {
    this.model = facts.model;
    this.stream = facts.stream;
    this.maxTokens = facts.maxTokens;
    this.bodyBytes = facts.bodyBytes;
    if (facts.verb !== undefined) this.verb = facts.verb;
    this.#body = body;
    this.#reading = reading;
  }

  inputTokens(): number {
    if (this.#estimated === undefined && this.#body !== undefined) {
      this.#estimated = estimateInput(this.#body);
    }
    return this.#estimated ?? 0;
  }

  texts(): readonly TextPart[] {
    if (this.#document === undefined) throw new Error("the policy has not asked for texts");
    return this.#document.texts();
  }

  /** Parses the body for those who read its texts; a refusal where they can't be shown. */
  openTexts(): Refusal | undefined {
    try {
      this.#document ??= new TextDocument(this.#body ?? new Uint8Array());
      return undefined;
    } catch (error) {
      if (!(error instanceof TextFault)) throw error;
      return { code: "bad_request", message: error.message };
    }
  }

  /** Applies what a policy asks for; says what is wrong with it, if anything. */
  edit(change: CallEdit): string | undefined {
    const refusal = this.openTexts();
    const document = this.#document;
    if (refusal !== undefined || document === undefined) return refusal?.message ?? "no body";
    const { model } = change;
    if (model !== undefined && (typeof model !== "string" || !isModelName.test(model))) {
      return "the model must be a name";
    }
    const wrong = document.edit(change);
    if (wrong !== undefined) return wrong;
    if (model !== undefined) {
      document.rename(model);
      this.model = model;
    }
    if (change.parameters === undefined) return undefined;
    const read = readFacts(document.toBytes(), this.#reading);
    if ("code" in read) return read.message ?? read.code;
    this.maxTokens = read.told.maxTokens;
    return undefined;
  }

  /** The body as edits have made it; undefined: there were none. */
  edited(): Uint8Array | undefined {
    const document = this.#document;
    this.#document = undefined;
    if (document?.isEdited !== true) return undefined;
    const { rename } = this.#reading.dialect;
    const bytes = rename?.(document.toBytes(), this.model) ?? document.toBytes();
    this.#body = bytes;
    this.#estimated = undefined;
    this.bodyBytes = bytes.byteLength;
    return bytes;
  }

  /**
   * The body goes. A stream outlives it, and so may the wish to know how many tokens it was.
   * @param isOver nobody will ask any more: a long body is not read once more for nothing
   */
  letGo(isOver: boolean): void {
    if (!isOver) this.inputTokens();
    this.#body = undefined;
    this.#document = undefined;
  }
}

const isModelName = /^[\x21-\x7e]{1,256}$/;

/** Stands for an object or a list; no string can be taken for it. */
const nested = Symbol("nested");

/** Reads the facts from the bytes of a body; what was inspected is what goes upstream. */
export function parseCall(
  body: Uint8Array,
  dialect: Dialect,
  keys: FactKeys,
  route: CalledRoute,
): ParsedCall | Refusal {
  const reading = { dialect, keys, route };
  const read = readFacts(body, reading);
  if ("code" in read) return read;
  const { told, modelStart, modelEnd } = read;
  return { call: new EstimatedCall(told, body, reading), dialect, body, modelStart, modelEnd };
}

/** The call with the edits of its policies in its body, which is written once for all of them. */
export function withEdits(parsed: ParsedCall, keys: FactKeys, route: CalledRoute) {
  const { call, dialect } = parsed;
  const body = call.edited();
  if (body === undefined) return parsed;
  const read = readFacts(body, { dialect, keys, route });
  if ("code" in read) return read;
  const { modelStart, modelEnd } = read;
  return { call, dialect, body, modelStart, modelEnd };
}

function readFacts(body: Uint8Array, { dialect, keys, route }: Reading) {
  const scan = scanFacts(body, keys);
  if (!scan.ok) return bad(problemText(scan.problem, scan.offset));
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
  if (typeof told === "string") return bad(told);
  return { told, modelStart: model?.start ?? 0, modelEnd: model?.end ?? 0 };
}

function bad(message: string): Refusal {
  return { code: "bad_request", message };
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
