import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import {
  codeOnly,
  type Import,
  importsOf,
  isCode,
  linesWith,
  repositoryFiles,
  type SourceFile,
} from "./source-files.ts";

const manifest = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"),
) as { dependencies: Record<string, string> };

type Rule = (files: readonly SourceFile[]) => string[];

/** A rule about single imports: says what is wrong, or nothing. */
function each(within: RegExp, wrong: (one: Import, path: string) => string | undefined): Rule {
  return (files) =>
    files
      .filter((file) => isCode(file) && within.test(file.path))
      .flatMap((file) =>
        importsOf(file).flatMap((one) => {
          const what = wrong(one, file.path);
          return what === undefined ? [] : [`${file.path}: ${one.from}: ${what}`];
        }),
      );
}

function isPackage({ from }: Import): boolean {
  if (from.startsWith("node:")) return true;
  const [scope = "", name = ""] = from.split("/");
  return (scope.startsWith("@") ? `${scope}/${name}` : scope) in manifest.dependencies;
}

/** The folder of a policy or plugin that grew beyond one file. */
function ownFolder(path: string): string | undefined {
  return /^(?:policies|plugins\/[\w-]+)\/[\w-]+\//.exec(path)?.[0];
}

const valueOfContract = new Set(["stages", "surfaces", "definePolicy"]);
const registryUsers = new Set(["src/assembly.ts", "src/cli/policies.ts", "build.ts"]);
const runtimeGlobals =
  /(?<![.\w$#"'])(?:Bun|Deno|process|global|console|__dirname|__filename|require)(?=\s*[.[(])/;
const plainBuffer = /(?<![.\w$])Buffer(?=\s*[.(])/;

function cycles(files: readonly SourceFile[]): string[] {
  const graph = new Map(
    files
      .filter(isCode)
      .map((file) => [
        file.path,
        importsOf(file).flatMap((i) => (i.isType || i.file === undefined ? [] : [i.file])),
      ]),
  );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path].join(" -> "));
    if (at >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

const rules: readonly (readonly [
  name: string,
  rule: Rule,
  bites: readonly SourceFile[],
  passes: readonly SourceFile[],
])[] = [
  [
    "contract imports only types, from contract and packages",
    each(/^src\/contract\//, ({ file, isType, names, from }) => {
      if (file !== undefined && !file.startsWith("src/contract/")) return "is outside contract";
      if (isType) return undefined;
      const isKnown = names.length > 0 && names.every((name) => valueOfContract.has(name));
      return file !== undefined && isKnown ? undefined : `is a value (${from})`;
    }),
    [
      { path: "src/contract/x.ts", text: 'import { errorTable } from "../errors.ts";' },
      { path: "src/contract/x.ts", text: 'import type { A } from "../pipeline.ts";' },
      { path: "src/contract/x.ts", text: 'import * as v from "valibot";' },
      { path: "src/contract/x.ts", text: 'import { other } from "./types.ts";' },
    ],
    [
      { path: "src/contract/x.ts", text: 'import type { A } from "./types.ts";' },
      { path: "src/contract/x.ts", text: 'import { type A, surfaces } from "./types.ts";' },
      { path: "src/contract/x.ts", text: 'import type { B } from "valibot";' },
    ],
  ],
  [
    "kit imports nothing of ours",
    each(/^src\/kit\//, ({ file }) =>
      file === undefined || file.startsWith("src/kit/") ? undefined : "is ours",
    ),
    [
      { path: "src/kit/x.ts", text: 'import { a } from "../errors.ts";' },
      { path: "src/kit/x.ts", text: 'import type { A } from "../contract/types.ts";' },
      { path: "src/kit/x.ts", text: 'export { a } from "../errors.ts";' },
      { path: "src/kit/x.ts", text: 'const a = await import("../errors.ts");' },
    ],
    [{ path: "src/kit/x.ts", text: 'import { a } from "./y.ts";\nimport b from "node:fs";' }],
  ],
  [
    "policies and plugins import contract, kit, named packages and node; never each other",
    each(/^(?:policies|plugins)\//, (one, path) => {
      const { file } = one;
      if (file === undefined) return isPackage(one) ? undefined : "is no dependency";
      if (/^src\/(?:contract|kit)\//.test(file)) return undefined;
      const own = ownFolder(path);
      if (own !== undefined && file.startsWith(own)) return undefined;
      const isProvider = path.startsWith("plugins/providers/");
      return isProvider && file.startsWith("plugins/dialects/") ? undefined : "is out of reach";
    }),
    [
      { path: "policies/x.ts", text: 'import { a } from "../src/errors.ts";' },
      { path: "policies/x.ts", text: 'import type { A } from "../src/exchange.ts";' },
      { path: "policies/x.ts", text: 'import { policy } from "./auth.ts";' },
      { path: "policies/x/index.ts", text: 'import { policy } from "../auth.ts";' },
      { path: "policies/x.ts", text: 'import leftPad from "left-pad";' },
      { path: "policies/x.ts", text: 'import { readFileSync } from "fs";' },
      { path: "plugins/dialects/x.ts", text: 'import { a } from "./openai-chat.ts";' },
      { path: "plugins/dialects/x.ts", text: 'import { a } from "../providers/claude.ts";' },
      { path: "plugins/providers/x.ts", text: 'import { a } from "./claude.ts";' },
      { path: "plugins/providers/x.ts", text: 'import { a } from "../../policies/auth/index.ts";' },
    ],
    [
      { path: "policies/x.ts", text: 'import { a } from "../src/kit/ip.ts";' },
      { path: "policies/x/index.ts", text: 'import { a } from "./rules.ts";' },
      { path: "plugins/providers/x.ts", text: 'import { d } from "../dialects/openai-chat.ts";' },
      { path: "policies/x.ts", text: 'import * as v from "valibot";\nimport f from "node:fs";' },
    ],
  ],
  [
    "only assembly, the policies command and build.ts import the registry",
    each(/./, ({ file }, path) =>
      file === "src/registry.gen.ts" && !registryUsers.has(path) && !path.startsWith("test/")
        ? "is for assembly only"
        : undefined,
    ),
    [
      { path: "src/app.ts", text: 'import { policies } from "./registry.gen.ts";' },
      { path: "src/cli/x.ts", text: 'const r = await import("../registry.gen.ts");' },
    ],
    [{ path: "src/assembly.ts", text: 'import { policies } from "./registry.gen.ts";' }],
  ],
  [
    "src reaches policies and plugins only through the registry",
    each(/^src\//, ({ file }, path) =>
      file !== undefined && /^(?:policies|plugins)\//.test(file) && path !== "src/registry.gen.ts"
        ? "is reached by the registry only"
        : undefined,
    ),
    [{ path: "src/app.ts", text: 'import { policy } from "../policies/auth/index.ts";' }],
    [{ path: "src/registry.gen.ts", text: 'import { policy } from "../policies/auth/index.ts";' }],
  ],
  [
    "nothing imports test/",
    each(/^(?!test\/)/, ({ file }) => (file?.startsWith("test/") ? "is a test" : undefined)),
    [{ path: "src/x.ts", text: 'import { a } from "../test/harness/raw.ts";' }],
    [{ path: "test/x.test.ts", text: 'import { a } from "./harness/raw.ts";' }],
  ],
  [
    "relative imports carry their .ts",
    each(/./, ({ file }) =>
      file === undefined || /\.(?:ts|json|mjs|js)$/.test(file) ? undefined : "has no extension",
    ),
    [{ path: "src/x.ts", text: 'import { a } from "./y";' }],
    [{ path: "src/x.ts", text: 'import { a } from "./y.ts";' }],
  ],
  [
    "built-in modules carry their node:",
    each(/./, ({ from }) =>
      builtinModules.includes(from) && !from.startsWith("bun") ? "needs node:" : undefined,
    ),
    [{ path: "src/x.ts", text: 'import { a } from "fs";' }],
    [{ path: "src/x.ts", text: 'import { a } from "node:fs";\nimport "bun:test";' }],
  ],
  [
    "only src/runtime touches globals of a runtime",
    (files) =>
      files
        .filter((f) => isCode(f) && /^(?:src\/(?!runtime\/)|policies\/|plugins\/)/.test(f.path))
        .flatMap((file) => {
          const code = codeOnly(file.text);
          const imports = /import \{[^}]*\bBuffer\b[^}]*\} from "node:buffer"/.test(file.text);
          return [
            ...linesWith(file, code, runtimeGlobals, "global of a runtime"),
            ...(imports ? [] : linesWith(file, code, plainBuffer, "Buffer from node:buffer")),
          ];
        }),
    [
      { path: "src/x.ts", text: "Bun.sleep(1);" },
      { path: "src/x.ts", text: "const a = Deno.env;" },
      { path: "policies/x.ts", text: "const a = process.env.HOME;" },
      { path: "plugins/dialects/x.ts", text: 'console.log("x");' },
      { path: "src/x.ts", text: 'Buffer.from("x");' },
      { path: "src/x.ts", text: "const a = `${process.pid}`;" },
      { path: "src/x.ts", text: 'process["exit"](1);' },
    ],
    [
      { path: "src/runtime/x.ts", text: "Bun.sleep(1);" },
      { path: "src/x.ts", text: '// Bun.sleep(1)\nconst a = "process.env";\n/* console.log */' },
      { path: "src/x.ts", text: 'import { Buffer } from "node:buffer";\nBuffer.from("x");' },
      { path: "src/x.ts", text: 'import { env } from "./runtime/process.ts";' },
      { path: "src/x.ts", text: "a.process.env;" },
    ],
  ],
  [
    "no cycles",
    cycles,
    [
      { path: "src/a.ts", text: 'import { b } from "./b.ts";' },
      { path: "src/b.ts", text: 'import { c } from "./c.ts";' },
      { path: "src/c.ts", text: 'import { a } from "./a.ts";' },
    ],
    [
      { path: "src/a.ts", text: 'import { b } from "./b.ts";' },
      { path: "src/b.ts", text: 'import type { A } from "./a.ts";' },
    ],
  ],
];

const files = repositoryFiles();

describe("imports", () => {
  test.each(rules)("%s", (name, rule, bites, passes) => {
    expect(rule(files)).toEqual([]);
    // A rule that can't fail guards nothing.
    if (name === "no cycles") {
      expect(rule(bites)).toHaveLength(1);
      expect(rule(passes)).toEqual([]);
      return;
    }
    for (const file of bites) expect([file.text, rule([file]).length]).toEqual([file.text, 1]);
    for (const file of passes) expect(rule([file])).toEqual([]);
  });

  test("the rules see the tree", () => {
    expect(files.filter(isCode).length).toBeGreaterThan(50);
    const pipeline = files.find((f) => f.path === "src/pipeline.ts");
    expect(pipeline && importsOf(pipeline)).toContainEqual(
      expect.objectContaining({ file: "src/contract/policy.ts", isType: false, names: ["stages"] }),
    );
  });
});
