import { maxModelLength } from "./call-facts.ts";
import { isObject } from "./json-member.ts";

/** Most models that are taken from one list. */
const maxModels = 10_000;

/** The ids of a model list as OpenAI and Anthropic shape it: `{"data":[{"id":…}]}`. */
export function readModelIds(list: unknown): readonly string[] {
  return isObject(list) ? idsOf(list.data, "id") : [];
}

/** The strings that the objects of a list hold under a key, without duplicates. */
export function idsOf(models: unknown, key: string): readonly string[] {
  if (!Array.isArray(models)) return [];
  const ids = new Set<string>();
  for (const model of models.slice(0, maxModels) as unknown[]) {
    const id: unknown = isObject(model) ? model[key] : undefined;
    if (typeof id === "string" && id !== "" && id.length <= maxModelLength) ids.add(id);
  }
  return [...ids];
}
