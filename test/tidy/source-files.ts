import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, posix, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** A file as the rules see it; tests plant some that break a rule. */
export interface SourceFile {
  /** From the root of the repository, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** As written. */
  readonly from: string;
  /** The path of one of our files; undefined for a package. */
  readonly file: string | undefined;
  readonly isType: boolean;
  /** `export … from`. */
  readonly isExport: boolean;
  /** Names as exported there; empty for a side effect or `import()`. */
  readonly names: readonly string[];
}

/** All files that are committed or about to be. */
export function repositoryFiles(): SourceFile[] {
  const arguments_ = ["ls-files", "-co", "--exclude-standard"];
  const list = execFileSync("git", arguments_, { cwd: root, encoding: "utf8" });
  return list
    .split("\n")
    .filter((path) => path !== "" && !path.startsWith(".scratch/"))
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(join(root, path), "utf8") }];
      } catch {
        // Deleted, and not yet committed so.
        return [];
      }
    });
}

export function isCode({ path }: SourceFile): boolean {
  return /\.(?:ts|mts|js|mjs)$/.test(path);
}

/** Imports of a file, static and dynamic. */
export function importsOf({ path, text }: SourceFile): Import[] {
  const plain = withoutComments(text);
  const found: Import[] = [];
  const statement =
    /^\s*(import|export)\s+(type\s+)?((?:[\w*\s,$]|\{[^}]*\})*?)\s*from\s*["']([^"']+)["']/gm;
  for (const [, verb, type, clause = "", from = ""] of plain.matchAll(statement)) {
    const inner = /\{([^}]*)\}/.exec(clause)?.[1];
    const items = (inner ?? "").split(",").flatMap((item) => item.trim() || []);
    const isType =
      type !== undefined ||
      (items.length > 0 && !/^[\w*]/.test(clause.trim()) && items.every((i) => /^type\s/.test(i)));
    const names = items
      .filter((item) => !/^type\s/.test(item))
      .map((item) => item.split(/\s+as\s+/)[0] ?? "");
    found.push({ from, file: fileOf(path, from), isType, isExport: verb === "export", names });
  }
  const bare = /^\s*import\s*["']([^"']+)["']|(?<![\w.])import\(\s*["']([^"']+)["']\s*\)/gm;
  for (const [, effect, dynamic] of plain.matchAll(bare)) {
    const from = effect ?? dynamic ?? "";
    found.push({ from, file: fileOf(path, from), isType: false, isExport: false, names: [] });
  }
  return found;
}

function fileOf(path: string, from: string): string | undefined {
  if (!from.startsWith(".")) return undefined;
  return posix.normalize(posix.join(posix.dirname(path), from));
}

/** The text without comments; strings stay. */
export function withoutComments(text: string): string {
  return text.replace(skip, (match) => (/^\/[/*]/.test(match) ? blank(match) : match));
}

/** The text without comments, strings and the plain parts of templates: what runs. */
export function codeOnly(text: string): string {
  return text.replace(skip, (match) => {
    if (match.startsWith("`")) return blank(match).replace(/^/, templateParts(match));
    return match.startsWith("/") && !/^\/[/*]/.test(match) ? " " : blank(match);
  });
}

/** Comments, strings, templates, and regular expressions where an expression may begin. */
const skip =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|\$\{(?:[^{}`]|\{[^}]*\}|`[^`]*`)*\}|[^`\\])*`|(?<=[=(,:[!&|?]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;

/** As many lines, no text. */
function blank(match: string): string {
  return match.replace(/[^\n]+/g, " ");
}

function templateParts(template: string): string {
  return [...template.matchAll(/\$\{([^}]*)\}/g)].map(([, code]) => code).join(" ; ");
}

/** `path:line: what` for each match of a pattern. */
export function linesWith(file: SourceFile, text: string, pattern: RegExp, what: string): string[] {
  return text
    .split("\n")
    .flatMap((line, i) => (pattern.test(line) ? [`${file.path}:${i + 1}: ${what}`] : []));
}
