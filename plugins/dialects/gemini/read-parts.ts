import type {
  NeutralMedia,
  NeutralPart,
  NeutralText,
  NeutralUse,
} from "../../../src/contract/neutral.ts";
import { isObject } from "../../../src/kit/json-member.ts";
import {
  isGiven,
  type JsonObject,
  mayText,
  onlyKeys,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { unwrapSeal } from "../../../src/kit/thought-seal.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** What has been seen of a request so far. */
export interface Seen {
  readonly uses: Map<NeutralUse, string>;
  /** Calls without a result yet: most clients send no ids, and results come in order. */
  readonly open: { readonly id: string; readonly name: string }[];
  count: number;
}

const partKeys = new Set([
  ...["text", "thought", "thoughtSignature", "inlineData", "fileData"],
  ...["functionCall", "functionResponse", "mediaResolution", "partMetadata"],
]);

/** The system instruction: a content, or a bare string as some clients send it. */
export function readSystem(value: unknown): NeutralText[] {
  if (typeof value === "string") return [{ type: "text", text: value }];
  const { parts } = toObject(value, "systemInstruction");
  const list = Array.isArray(parts) ? (parts as unknown[]) : [parts];
  return list.map((item, i) => {
    const where = `systemInstruction.parts[${i}]`;
    return { type: "text", text: toText(toObject(item, where).text, `${where}.text`) };
  });
}

/** Parts of a content. */
export function readParts(value: unknown, field: string, seen: Seen): NeutralPart[] {
  const parts = toList(value, field).flatMap((item, i): NeutralPart[] => {
    const where = `${field}[${i}]`;
    const part = toObject(item, where);
    onlyKeys(part, partKeys, where);
    const signature = mayText(part.thoughtSignature, `${where}.thoughtSignature`);
    const seal = signature ? unwrapSeal(signature, "gemini") : undefined;
    if (part.thought === true) {
      seen.uses.set("thinking", where);
      return [{ type: "thinking", text: mayText(part.text, `${where}.text`) ?? "", seal }];
    }
    const read = readPart(part, where, seen);
    if (seal === undefined) return read;
    seen.uses.set("thinking", where);
    return [{ type: "thinking", text: "", seal }, ...read];
  });
  return joinThoughts(parts);
}

/** A stream tells a thought in pieces, and last what proves it: together they are one. */
function joinThoughts(parts: readonly NeutralPart[]): NeutralPart[] {
  const out: NeutralPart[] = [];
  for (const part of parts) {
    const last = out.at(-1);
    if (part.type === "thinking" && last?.type === "thinking" && last.seal === undefined) {
      out[out.length - 1] = { ...part, text: last.text + part.text };
    } else out.push(part);
  }
  return out;
}

function readPart(part: JsonObject, where: string, seen: Seen): NeutralPart[] {
  if (isGiven(part.inlineData)) return [readMedia(part.inlineData, `${where}.inlineData`, seen)];
  if (isGiven(part.functionCall)) {
    const call = toObject(part.functionCall, `${where}.functionCall`);
    const name = toText(call.name, `${where}.functionCall.name`);
    const id = mayText(call.id, `${where}.functionCall.id`) || `call_cp_${seen.count++}`;
    seen.open.push({ id, name });
    return [{ type: "tool_call", id, name, arguments: JSON.stringify(call.args ?? {}) }];
  }
  if (isGiven(part.functionResponse)) return [readResult(part.functionResponse, where, seen)];
  if (isGiven(part.fileData)) {
    throw new Untranslatable(`${where}.fileData`, "is a file of Google's: send it as `inlineData`");
  }
  const text = toText(part.text, `${where}.text`);
  return text === "" ? [] : [{ type: "text", text }];
}

function readMedia(value: unknown, where: string, seen: Seen): NeutralMedia {
  const inline = toObject(value, where);
  const mediaType = toText(inline.mimeType, `${where}.mimeType`);
  const data = toText(inline.data, `${where}.data`);
  const [kind] = mediaType.split("/");
  const type = kind === "image" || kind === "audio" ? kind : "document";
  if (kind === "video") throw new Untranslatable(where, "is a video, which can't be translated");
  seen.uses.set(type, where);
  return { type, mediaType, data };
}

function readResult(value: unknown, where: string, seen: Seen): NeutralPart {
  const result = toObject(value, `${where}.functionResponse`);
  const name = toText(result.name, `${where}.functionResponse.name`);
  const given = mayText(result.id, `${where}.functionResponse.id`);
  const at = seen.open.findIndex((call) => (given ? call.id === given : call.name === name));
  const [call] = at < 0 ? [] : seen.open.splice(at, 1);
  const id = given || call?.id;
  if (id === undefined) {
    throw new Untranslatable(`${where}.functionResponse`, "answers a call that was not made");
  }
  const response = isObject(result.response) ? result.response : {};
  const isError = isGiven(response.error) && Object.keys(response).length === 1;
  const plain = isError ? response.error : (onlyMember(response) ?? response);
  const text = typeof plain === "string" ? plain : JSON.stringify(plain);
  const media = isGiven(result.parts) ? readParts(result.parts, `${where}.parts`, seen) : [];
  const extra = media.flatMap((part) =>
    part.type === "image" || part.type === "document" ? [part] : [],
  );
  if (isError) seen.uses.set("tool_error", where);
  if (extra.length > 0) seen.uses.set("media_result", where);
  return { type: "tool_result", id, name, parts: [{ type: "text", text }, ...extra], isError };
}

/** Clients wrap what is no object into one with a single member. */
function onlyMember(response: JsonObject): string | undefined {
  const keys = Object.keys(response);
  const value = response[keys[0] ?? ""];
  const isWrapped = keys.length === 1 && /^(?:output|result|content)$/.test(keys[0] ?? "");
  return isWrapped && typeof value === "string" ? value : undefined;
}
