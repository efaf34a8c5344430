import { type Document, parseDocument } from "yaml";
import { type Fault, toFault } from "./fault.ts";
import { growTree, type ParsedYaml, tooDeep } from "./grow.ts";
import { emptyMap } from "./tree.ts";
import { syntaxWording } from "./yaml-wording.ts";

/** Most UTF-16 units of a configuration. */
export const maxTextChars = 4 * 1024 * 1024;

/**
 * Parses a configuration: YAML 1.2 core, one document, a map with unique string keys.
 * @param text without byte order mark
 * @returns not ok when the text has no dependable structure
 */
export function parseYaml(text: string): ParsedYaml {
  const unfit = unfitText(text);
  if (unfit !== undefined) return { ok: false, faults: [unfit] };
  if (text.trim() === "") return { ok: true, root: emptyMap, faults: [] };
  let document: Document.Parsed;
  try {
    document = parse(text);
  } catch (error) {
    // Only deep nesting overflows the stack; anything else is a bug of ours.
    if (!(error instanceof RangeError)) throw error;
    return { ok: false, faults: [tooDeep(0, [])] };
  }
  const faults = syntaxFaults(document, text);
  if (faults.length > 0) return { ok: false, faults };
  return growTree(document);
}

function parse(text: string): Document.Parsed {
  // `silent` would hide a second document; duplicates are found here, not in quadratic time there.
  return parseDocument(text, {
    logLevel: "error",
    merge: false,
    prettyErrors: false,
    resolveKnownTags: false,
    stringKeys: true,
    uniqueKeys: false,
  });
}

function unfitText(text: string): Fault | undefined {
  if (text.length > maxTextChars) {
    return toFault(0, [], "the file is larger than 4 MiB", "is it the right file?");
  }
  const control = text.search(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/);
  if (control >= 0) {
    return toFault(control, [], "a control character is not allowed here", "remove it");
  }
  const garbled = text.indexOf("\ufffd");
  if (garbled < 0) return undefined;
  return toFault(garbled, [], "this is not valid UTF-8", "save the file as UTF-8");
}

function syntaxFaults(document: Document.Parsed, text: string): Fault[] {
  const faults: Fault[] = [];
  const version = document.directives.yaml;
  if (version.explicit === true && version.version !== "1.2") {
    // Version 1.1 would turn `yes` into true and merge `<<`.
    faults.push(toFault(0, [], "only YAML 1.2 is read", "remove the %YAML line"));
  }
  const lines = new Set<number>();
  for (const error of [...document.errors, ...document.warnings]) {
    const at = Math.min(error.pos[0], text.length);
    const line = text.lastIndexOf("\n", at - 1);
    // One mistake makes several errors; the first of a line is the one to mend.
    const isEcho = error.code === "UNEXPECTED_TOKEN" && faults.length > 0;
    if (isEcho || lines.has(line)) continue;
    lines.add(line);
    faults.push(toFault(at, [], ...syntaxWording(error.code, text, at)));
  }
  return faults;
}
