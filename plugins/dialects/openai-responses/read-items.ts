import type {
  NeutralMessage,
  NeutralPart,
  NeutralText,
  NeutralToolCall,
  NeutralToolResult,
  NeutralUse,
} from "../../../src/contract/neutral.ts";
import type { Told } from "../../../src/contract/translation.ts";
import {
  isGiven,
  type JsonObject,
  mayText,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { unwrapSeal } from "../../../src/kit/thought-seal.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";
import { readContent, readSaid, readTexts } from "./read-content.ts";
import { flatName } from "./read-tools.ts";

/** What has been seen of a request so far. */
export interface Seen {
  readonly uses: Map<NeutralUse, string>;
  /** Tools by the ids of their calls. */
  readonly calls: Map<string, string>;
  readonly told: Told;
}

/** What the vendor's servers did, whose outcome the assistant's words tell as well. */
const servers = new Set([
  ...["web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"],
  ...["mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"],
  ...["tool_search_call", "tool_search_output"],
]);

/** Reads the conversation; what stands in it as system or developer joins the instructions. */
export function readInput(value: unknown, system: NeutralText[], seen: Seen): NeutralMessage[] {
  if (typeof value === "string") {
    return [{ role: "user", parts: [{ type: "text", text: value }] }];
  }
  const messages: { role: NeutralMessage["role"]; parts: NeutralPart[] }[] = [];
  // Neighbours of one role are one message: a reply is several items here.
  const add = (role: NeutralMessage["role"], parts: readonly NeutralPart[]): void => {
    const last = messages.at(-1);
    if (last?.role === role) last.parts.push(...parts);
    else messages.push({ role, parts: [...parts] });
  };
  for (const [i, one] of toList(value, "input").entries()) {
    const where = `input[${i}]`;
    const item = toObject(one, where);
    const type = item.type ?? "message";
    if (type !== "message") {
      const part = readItem(String(type), item, where, seen);
      if (part !== undefined) add(part.type === "tool_result" ? "user" : "assistant", [part]);
    } else if (item.role === "system" || item.role === "developer") {
      if (messages.length > 0) seen.uses.set("late_system", where);
      system.push(...readTexts(item.content, `${where}.content`));
    } else if (item.role === "user") {
      add("user", readContent(item.content, `${where}.content`, seen.uses));
    } else if (item.role === "assistant") {
      add("assistant", readSaid(item.content, `${where}.content`));
    } else {
      throw new Untranslatable(`${where}.role`, "must be user, assistant, system or developer");
    }
  }
  return messages;
}

function readItem(
  type: string,
  item: JsonObject,
  where: string,
  seen: Seen,
): NeutralPart | undefined {
  switch (type) {
    case "function_call":
      return readCall(item, "arguments", where, seen);
    case "custom_tool_call":
      return { ...readCall(item, "input", where, seen), custom: true };
    case "function_call_output":
      return readResult(item, where, seen);
    case "custom_tool_call_output":
      return { ...readResult(item, where, seen), custom: true };
    case "reasoning":
      return readThought(item, where, seen);
    case "item_reference":
      throw new Untranslatable(
        where,
        "names an item that only OpenAI has stored: send the item itself (with `store: false` " +
          "clients do so by themselves)",
      );
    default:
      if (!servers.has(type)) {
        throw new Untranslatable(`${where}.type`, "is an item that only OpenAI's models know");
      }
      seen.told.dropped.add(`input.${type}`);
      return undefined;
  }
}

function readCall(
  item: JsonObject,
  said: "arguments" | "input",
  where: string,
  seen: Seen,
): NeutralToolCall {
  const id = toText(item.call_id, `${where}.call_id`);
  const namespace = mayText(item.namespace, `${where}.namespace`);
  const name = flatName(namespace, toText(item.name, `${where}.name`));
  seen.calls.set(id, name);
  return { type: "tool_call", id, name, arguments: toText(item[said], `${where}.${said}`) };
}

function readResult(item: JsonObject, where: string, seen: Seen): NeutralToolResult {
  const id = toText(item.call_id, `${where}.call_id`);
  const parts: NeutralToolResult["parts"][number][] = [];
  for (const part of readContent(item.output, `${where}.output`, seen.uses)) {
    if (part.type !== "text") seen.uses.set("media_result", where);
    parts.push(part);
  }
  return { type: "tool_result", id, name: seen.calls.get(id), parts, isError: false };
}

function readThought(item: JsonObject, where: string, seen: Seen): NeutralPart | undefined {
  const pieces = ["summary", "content"].flatMap((key) =>
    isGiven(item[key]) ? toList(item[key], `${where}.${key}`) : [],
  );
  const text = pieces
    .map((piece) => mayText(toObject(piece, where).text, `${where}.text`) ?? "")
    .join("\n\n");
  const sealed = mayText(item.encrypted_content, `${where}.encrypted_content`);
  if (!sealed) return text === "" ? undefined : use(seen, where, { type: "thinking", text });
  const seal = unwrapSeal(sealed, "openai-responses");
  const id = seal.id ?? mayText(item.id, `${where}.id`);
  const own = seal.origin === "openai-responses" && id !== undefined ? { ...seal, id } : seal;
  return use(seen, where, { type: "thinking", text, seal: own });
}

function use(seen: Seen, where: string, part: NeutralPart): NeutralPart {
  seen.uses.set("thinking", where);
  return part;
}
