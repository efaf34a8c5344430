import { describe, expect, test } from "bun:test";
import {
  codeOnly,
  importsOf,
  isCode,
  linesWith,
  repositoryFiles,
  type SourceFile,
  withoutComments,
} from "./source-files.ts";

type Rule = (file: SourceFile) => string[];

const plainNames = /^(?:README|LICENSE|SECURITY|CHANGELOG|CONTRIBUTING|AGENTS|NOTICE)(?:\.md)?$/;
const kebab = /^\.?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*$/;
/** Split, so that the rule does not find itself. */
const todo = new RegExp(`\\b(?:TO${"DO"}|FIX${"ME"}|X${"XX"})\\b(?!\\(#\\d+\\)|.*#\\d+)`);
const focused = new RegExp(
  `\\b(?:test|it|describe)\\.(?:sk${"ip"}|on${"ly"}|to${"do"}|failing)\\b`,
);
/** `a` is nobody: a path that a test makes up. */
const machinePath = new RegExp(
  `(?:^|[\\s"'\`(=:])/(?:ho${"me"}|Us${"ers"}|wo${"rk"}|ro${"ot"})/(?!a/)[\\w.-]`,
);
const registryHost = new RegExp(
  `registry\\.(?:npm${"js"}|yarn${"pkg"}|npmmi${"rror"})\\.|npm\\.pkg\\.gith${"ub"}|artif${"actory"}|verda${"ccio"}`,
  "i",
);

function code(rule: Rule): Rule {
  return (file) => (isCode(file) ? rule(file) : []);
}

function isText({ path }: SourceFile): boolean {
  return !/\.(?:png|jpg|gif|ico|gz|der|bin)$/.test(path);
}

/** The exports of a file are all taken from others. */
function isBarrel(file: SourceFile): boolean {
  const text = withoutComments(file.text).trim();
  if (!importsOf(file).some((one) => one.isExport)) return false;
  const rest = text.replace(/(?:import|export)\s[^;]*?from\s*["'][^"']+["'];?/g, "").trim();
  return rest === "";
}

const rules: readonly (readonly [
  name: string,
  rule: Rule,
  bites: readonly SourceFile[],
  passes: readonly SourceFile[],
])[] = [
  [
    "file names are kebab-case",
    ({ path }) =>
      path
        .split("/")
        .some((part) => !kebab.test(part) && !plainNames.test(part) && !/^Dockerfile/.test(part))
        ? [path]
        : [],
    [
      { path: "src/camelCase.ts", text: "" },
      { path: "src/snake_case.ts", text: "" },
      { path: "src/Folder/x.ts", text: "" },
      { path: "docs/two words.md", text: "" },
    ],
    [
      { path: "src/kebab-case.test.ts", text: "" },
      { path: ".ci/run", text: "" },
      { path: "README.md", text: "" },
      { path: "docs/decisions/001-title.md", text: "" },
      { path: "Dockerfile.distroless", text: "" },
    ],
  ],
  [
    "no enums",
    code((f) =>
      linesWith(f, codeOnly(f.text), /^\s*(?:export )?(?:declare )?(?:const )?enum \w/, "enum"),
    ),
    [{ path: "src/x.ts", text: "export const enum A { b }" }],
    [{ path: "src/x.ts", text: '// enum A\nconst a = "enum B {}";' }],
  ],
  [
    "no default exports",
    code((f) =>
      linesWith(f, codeOnly(f.text), /^\s*export (?:default\b|\{[^}]*\bas default\b)/, "default"),
    ),
    [
      { path: "src/x.ts", text: "export default 1;" },
      { path: "src/x.ts", text: "export { a as default };" },
    ],
    [{ path: "src/x.ts", text: "export const a = 1;" }],
  ],
  [
    "no barrels",
    code((f) => (isBarrel(f) ? [f.path] : [])),
    [
      {
        path: "src/x.ts",
        text: '/** All. */\nexport * from "./a.ts";\nexport { b } from "./b.ts";',
      },
      { path: "src/x.ts", text: 'export type { A } from "./a.ts";' },
    ],
    [{ path: "src/x.ts", text: 'export { a } from "./a.ts";\nexport const b = 1;' }],
  ],
  [
    "no skipped and no focused tests, no work left without an issue number",
    code((f) => [
      ...linesWith(f, codeOnly(f.text), focused, "skipped or focused"),
      ...linesWith(f, f.text, todo, "work without an issue number"),
    ]),
    [
      { path: "test/x.test.ts", text: `test.on${"ly"}("x", () => {});` },
      { path: "test/x.test.ts", text: `describe.sk${"ip"}("x", () => {});` },
      { path: "src/x.ts", text: `// TO${"DO"}: mend` },
    ],
    [
      { path: "src/x.ts", text: `// TO${"DO"}(#12): mend` },
      { path: "src/x.ts", text: "queue.skip();" },
    ],
  ],
  [
    "no paths of a machine, no hosts of a registry",
    (f) =>
      isText(f)
        ? [
            ...linesWith(f, f.text, machinePath, "path of a machine"),
            ...linesWith(f, f.text, registryHost, "host of a registry"),
          ]
        : [],
    [
      { path: "docs/x.md", text: `see /ho${"me"}/me/x` },
      { path: "src/x.ts", text: `const a = "/wo${"rk"}/main";` },
      { path: "package-lock.json", text: `"https://registry.npm${"js"}.org/x"` },
    ],
    [
      { path: "docs/x.md", text: `https://example.com/ho${"me"}/x and ./wo${"rk"}/x` },
      { path: "src/x.ts", text: 'import "./registry.gen.ts";' },
    ],
  ],
  [
    "100 columns, addresses aside",
    code((f) =>
      f.text
        .split("\n")
        .flatMap((line, i) =>
          [...line].length > 100 && !/https?:\/\/\S{20}/.test(line) && !isLiteral(line)
            ? [`${f.path}:${i + 1}: ${line.length} columns`]
            : [],
        ),
    ),
    [{ path: "src/x.ts", text: `// ${"x".repeat(98)}` }],
    [
      { path: "src/x.ts", text: `// ${"x".repeat(97)}` },
      { path: "src/x.ts", text: `// https://example.com/${"x".repeat(98)}` },
    ],
  ],
  [
    "no trailing spaces, one line break at the end",
    code((f) => [
      ...linesWith(f, f.text, /[ \t]$/, "trailing space"),
      ...(f.text === "" || /[^\n]\n$/.test(f.text) ? [] : [`${f.path}: end of file`]),
    ]),
    [
      { path: "src/x.ts", text: "a; \n" },
      { path: "src/x.ts", text: "a;\n\n" },
      { path: "src/x.ts", text: "a;" },
    ],
    [{ path: "src/x.ts", text: "a;\n" }],
  ],
];

/** Breaking a string or a pattern would hide it from a search; the formatter leaves it, too. */
function isLiteral(line: string): boolean {
  if (/^\s*(?:\/\/|\/\*|\*)/.test(line)) return false;
  if (/^\s*\/.*\/[a-z]*[,;]?$/.test(line)) return true;
  return codeOnly(line).replace(/\s+/g, " ").length <= 100;
}

const files = repositoryFiles();

describe("style", () => {
  test.each(rules)("%s", (_name, rule, bites, passes) => {
    expect(files.flatMap(rule)).toEqual([]);
    // A rule that can't fail guards nothing.
    for (const file of bites) expect([file, rule(file).length]).toEqual([file, 1]);
    for (const file of passes) expect(rule(file)).toEqual([]);
  });
});
