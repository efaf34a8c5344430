import { defineFactKeys } from "../../../src/kit/fact-keys.ts";
import { type Fact, factProblems, scanFacts } from "../../../src/kit/json-facts.ts";
import { itemSpans } from "../../../src/kit/json-items.ts";
import { parse } from "../../../src/kit/json-member.ts";
import { toResourceName } from "./model-name.ts";

/** Gives the bytes of a top-level value as they stand in the body. */
export type Raw = (key: string) => Uint8Array | undefined;

/** A place of a body that holds a model's name. */
interface Named {
  readonly value: unknown;
  /** The value's own bytes, part of the body's. */
  readonly bytes: Uint8Array;
  /** For a sentence to the client. */
  readonly where: string;
}

/** Most requests of one batch that are looked at; the vendor's own limit is lower. */
export const maxRequests = 2048;

const modelKey = defineFactKeys(["model"]);
const bodyKeys = defineFactKeys([
  ...["model", "requests", "generateContentRequest", "generate_content_request"],
]);
const none: readonly Named[] = [];

/** All names of models in a body, or a sentence that says why they can't be read. */
export function namedModels(raw: Raw): readonly Named[] | string {
  const model = raw("model");
  const requests = raw("requests");
  const counted = raw("generateContentRequest") ?? raw("generate_content_request");
  if (model === undefined && requests === undefined && counted === undefined) return none;
  const named: Named[] = [];
  if (model !== undefined) {
    add(named, parse(new TextDecoder().decode(model)), model, "model");
  }
  if (counted !== undefined) {
    const wrong = addFrom(named, counted, "generateContentRequest");
    if (wrong !== undefined) return wrong;
  }
  return requests === undefined ? named : (addFromAll(named, requests) ?? named);
}

function addFromAll(named: Named[], requests: Uint8Array): string | undefined {
  const spans = itemSpans(requests, maxRequests);
  if (spans === undefined) return `\`requests\` must be a list of up to ${maxRequests} requests.`;
  for (const [i, { start, end }] of spans.entries()) {
    const wrong = addFrom(named, requests.subarray(start, end), `requests[${i}]`);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function addFrom(named: Named[], object: Uint8Array, where: string): string | undefined {
  const scan = scanFacts(object, modelKey);
  if (!scan.ok) {
    if (scan.problem === "not_an_object") return `\`${where}\` must be an object.`;
    return `\`${where}\` can't be read: ${factProblems[scan.problem]}`;
  }
  const fact: Fact | undefined = scan.facts.get("model");
  if (fact === undefined) return undefined;
  add(named, fact.value, object.subarray(fact.start, fact.end), `${where}.model`);
  return undefined;
}

/** A null says nothing; it is what is not there. */
function add(named: Named[], value: unknown, bytes: Uint8Array, where: string): void {
  if (value !== null) named.push({ value, bytes, where });
}

/**
 * The body with another model's name in every place that has one; no other byte changes.
 * @throws when the body is not one whose call was read
 */
export function rename(body: Uint8Array, model: string): Uint8Array {
  const scan = scanFacts(body, bodyKeys);
  // It was read before, so this can't be; a body half renamed must not go up.
  if (!scan.ok) throw new Error(`a body can't be read again: ${scan.problem}`);
  const named = namedModels((key) => {
    const fact = scan.facts.get(key as "model");
    return fact && body.subarray(fact.start, fact.end);
  });
  if (typeof named === "string") throw new Error(`a body can't be read again: ${named}`);
  if (named.length === 0) return body;
  const name = new TextEncoder().encode(JSON.stringify(toResourceName(model)));
  const places = named
    .map(({ bytes }) => ({ start: bytes.byteOffset - body.byteOffset, length: bytes.byteLength }))
    .sort((a, b) => a.start - b.start);
  const removed = places.reduce((sum, { length }) => sum + length, 0);
  const out = new Uint8Array(body.byteLength - removed + places.length * name.byteLength);
  let [from, to] = [0, 0];
  for (const { start, length } of places) {
    out.set(body.subarray(from, start), to);
    to += start - from;
    out.set(name, to);
    to += name.byteLength;
    from = start + length;
  }
  out.set(body.subarray(from), to);
  return out;
}
