import type { NeutralRequest } from "../contract/neutral.ts";
import type { Dialect } from "../contract/plugin.ts";
import type { Told, Translation } from "../contract/translation.ts";
import type { Surface } from "../contract/types.ts";
import type { Refusal } from "../errors.ts";
import { isObject, parse } from "../kit/json-member.ts";
import { Untranslatable } from "../kit/untranslatable.ts";
import { judgeFeatures, judgeFields } from "./rules.ts";

/** A request as another dialect's provider is sent it. */
export interface Translated {
  readonly from: Translation;
  readonly to: Translation;
  /** The dialect that the provider speaks. */
  readonly dialect: Dialect;
  readonly request: NeutralRequest;
  readonly surface: Surface;
  readonly verb: string | undefined;
  readonly query: string;
  readonly body: Uint8Array;
  /** What the client is told of what was left out or changed. */
  readonly headers: Readonly<Record<string, string>>;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/**
 * Translates a request into a dialect that its provider speaks.
 * @param model as the provider knows it
 * @returns the request, or why it can't be translated
 */
export function translateRequest(
  body: Uint8Array,
  asked: { readonly model: string; readonly stream: boolean },
  client: Dialect,
  dialect: Dialect,
  model: string,
): Translated | Refusal {
  const { translation: from } = client;
  const { translation: to } = dialect;
  if (from === undefined || to === undefined) return { code: "wrong_dialect" };
  const told: Told = { dropped: new Set(), changed: new Set() };
  try {
    const content = parse(decoder.decode(body));
    if (!isObject(content)) return { code: "bad_request" };
    judgeFields(content, from.fields, told);
    const { model: name, stream } = asked;
    const request = from.readRequest(content, { model: name, stream }, told);
    judgeFeatures(request, from.fields, to.limits, told);
    const written = to.writeRequest(request, model, told);
    return {
      from,
      to,
      dialect,
      request,
      surface: to.surface,
      verb: stream ? to.verbs?.stream : to.verbs?.whole,
      query: stream ? (to.verbs?.query ?? "") : "",
      body: encoder.encode(JSON.stringify(written)),
      headers: toHeaders(told),
    };
  } catch (error) {
    if (error instanceof Untranslatable) return { code: "bad_request", message: error.message };
    // A body is not nested more deeply than a scan allows, so this is no overflow but a fault.
    throw error;
  }
}

/** Longest list of names in a header, in characters. */
const longestList = 1024;

/** The names as headers; what is left out for its length is at least counted. */
export function toHeaders({ dropped, changed }: Told): Record<string, string> {
  const headers: Record<string, string> = {};
  if (dropped.size > 0) headers["x-cliproxy-dropped"] = toList(dropped);
  if (changed.size > 0) headers["x-cliproxy-changed"] = toList(changed);
  return headers;
}

function toList(names: ReadonlySet<string>): string {
  let list = "";
  let left = names.size;
  for (const name of names) {
    const plain = name.replace(/[^\x21-\x7e]|,/g, "?");
    if (list.length + plain.length > longestList) break;
    list += list === "" ? plain : `, ${plain}`;
    left--;
  }
  return left === 0 ? list : `${list}, and ${left} more`;
}
