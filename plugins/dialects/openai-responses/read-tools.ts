import type { NeutralTool, NeutralToolChoice } from "../../../src/contract/neutral.ts";
import {
  isGiven,
  type JsonObject,
  mayFlag,
  mayText,
  onlyKeys,
  toList,
  toObject,
  toText,
} from "../../../src/kit/json-read.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";
import type { Seen } from "./read-items.ts";

const functionKeys = new Set([
  ...["type", "name", "description", "parameters", "strict", "defer_loading"],
]);

/** A tool of a namespace under the one name that other APIs have for it. */
export function flatName(namespace: string | undefined, name: string): string {
  if (namespace === undefined || namespace === "") return name;
  return namespace.endsWith("__") ? namespace + name : `${namespace}__${name}`;
}

/** The tools that the client runs; those of the vendor's servers are left out and told. */
export function readTools(value: unknown, seen: Seen): NeutralTool[] {
  if (!isGiven(value)) return [];
  return toList(value, "tools").flatMap((item, i) => {
    const where = `tools[${i}]`;
    const tool = toObject(item, where);
    switch (tool.type) {
      case "function":
        return [readFunction(tool, where, seen)];
      case "custom":
        return [readCustom(tool, where, seen)];
      case "namespace":
        return readNamespace(tool, where, seen);
      default:
        seen.told.dropped.add(`tools.${toText(tool.type, `${where}.type`).slice(0, 64)}`);
        return [];
    }
  });
}

function readFunction(tool: JsonObject, where: string, seen: Seen): NeutralTool {
  onlyKeys(tool, functionKeys, where);
  const strict = mayFlag(tool.strict, `${where}.strict`);
  if (strict === true) seen.uses.set("strict_tool", where);
  return {
    name: toText(tool.name, `${where}.name`),
    description: mayText(tool.description, `${where}.description`),
    schema: isGiven(tool.parameters) ? toObject(tool.parameters, `${where}.parameters`) : undefined,
    strict,
  };
}

function readCustom(tool: JsonObject, where: string, seen: Seen): NeutralTool {
  seen.uses.set("custom_tool", where);
  if (isGiven(tool.format) && toObject(tool.format, `${where}.format`).type !== "text") {
    seen.told.dropped.add(`${where}.format`);
  }
  return {
    name: toText(tool.name, `${where}.name`),
    description: mayText(tool.description, `${where}.description`),
    custom: true,
  };
}

function readNamespace(space: JsonObject, where: string, seen: Seen): NeutralTool[] {
  const namespace = toText(space.name, `${where}.name`);
  return toList(space.tools, `${where}.tools`).map((item, i) => {
    const inner = `${where}.tools[${i}]`;
    const tool = toObject(item, inner);
    if (tool.type !== "function") throw new Untranslatable(`${inner}.type`, "must be function");
    const made = readFunction(tool, inner, seen);
    return { ...made, name: flatName(namespace, made.name), namespace };
  });
}

/** The choice among the tools, which may leave only some of them. */
export function readChoice(
  value: unknown,
  tools: NeutralTool[],
): { readonly toolChoice: NeutralToolChoice | undefined; readonly tools: NeutralTool[] } {
  if (!isGiven(value) || value === "auto") return { toolChoice: undefined, tools };
  if (value === "none" || value === "required") return { toolChoice: { type: value }, tools };
  const choice = toObject(value, "tool_choice");
  if (choice.type === "function" || choice.type === "custom") {
    const namespace = mayText(choice.namespace, "tool_choice.namespace");
    const name = flatName(namespace, toText(choice.name, "tool_choice.name"));
    return { toolChoice: { type: "tool", name }, tools };
  }
  if (choice.type === "allowed_tools") return readAllowed(choice, tools);
  throw new Untranslatable(
    "tool_choice",
    "must be auto, none, required, allowed_tools or the name of one tool that the client runs",
  );
}

function readAllowed(choice: JsonObject, tools: NeutralTool[]): ReturnType<typeof readChoice> {
  const allowed = new Set<unknown>();
  for (const [i, item] of toList(choice.tools, "tool_choice.tools").entries()) {
    const { name, namespace } = toObject(item, `tool_choice.tools[${i}]`);
    if (typeof name !== "string") continue;
    allowed.add(flatName(typeof namespace === "string" ? namespace : undefined, name));
  }
  const toolChoice = choice.mode === "required" ? ({ type: "required" } as const) : undefined;
  return { toolChoice, tools: tools.filter(({ name }) => allowed.has(name)) };
}
