import { maxModelLength } from "./call-facts.ts";
import { isObject } from "./json-member.ts";

/** Most models that are taken from one list. */
const maxModels = 10_000;

/** The ids of a model list as OpenAI and Anthropic shape it: `{"data":[{"id":…}]}`. */
export function readModelIds(list: unknown): readonly string[] {
  if (!isObject(list) || !Array.isArray(list.data)) return [];
  const ids = new Set<string>();
  for (const model of list.data.slice(0, maxModels)) {
    const id: unknown = isObject(model) ? model.id : undefined;
    if (typeof id === "string" && id !== "" && id.length <= maxModelLength) ids.add(id);
  }
  return [...ids];
}
