import { modelProblem } from "../../../src/kit/call-facts.ts";

const collection = "models/";

/** A model's plain name: the API also takes, and gives, it as `models/<name>`. */
export function toPlainName(name: string): string {
  return name.startsWith(collection) ? name.slice(collection.length) : name;
}

/** A model's name as bodies hold it; a tuned model has a collection of its own. */
export function toResourceName(name: string): string {
  return name.startsWith(collection) || name.startsWith("tunedModels/") ? name : collection + name;
}

/**
 * A model's path below the version. A segment of its own, whatever the name holds: a slash in it
 * is escaped, and the verb behind it keeps `..` from being one.
 */
export function toModelPath(name: string, verb: string): string {
  const resource = toResourceName(name);
  const at = resource.indexOf("/") + 1;
  return `/${resource.slice(0, at)}${encodeURIComponent(resource.slice(at))}:${verb}`;
}

// A server behind a decoding proxy may take such a name for another path.
const escapes = /[\\?#%]|(?:^|\/)\.{0,2}(?:\/|$)/;

/** Says what is wrong with a model name in a path; undefined when it is good. */
export function pathNameProblem(name: string): string | undefined {
  const wrong = modelProblem(name);
  if (wrong !== undefined) return wrong;
  if (!escapes.test(name)) return undefined;
  return (
    "The model in the path has an empty part, a part `.` or `..`, or one of the characters " +
    "\\ ? # %. GET /v1beta/models lists what there is."
  );
}
