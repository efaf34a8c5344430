/**
 * Builds `dist/cliproxy` for this machine, and `dist/cliproxy.mjs` for Node and Deno.
 *   bun build.ts                   generated files, then both
 *   bun build.ts --target NAMES    `dist/cliproxy-NAME` for each of linux-x64, linux-arm64,
 *                                  darwin-x64, darwin-arm64, windows-x64; with commas, or all
 *   bun build.ts --static          also `dist/cliproxy-linux-x64-static`, which needs no libc
 *   bun build.ts --generate        only the generated files
 *   bun build.ts --check           fails when a generated file is not up to date
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bundleModule, compile } from "./deploy/build/executable.ts";
import { identityOf } from "./deploy/build/identity.ts";
import { canBeStatic, packStatic } from "./deploy/build/static.ts";
import { ownTarget, parseTargets } from "./deploy/build/targets.ts";

const root = import.meta.dirname;

/** Plugin folders of the registry: folder, export of each file, name of the list. */
const lists = [
  { folder: "policies", item: "policy", type: "Policy", list: "policies" },
  { folder: "plugins/dialects", item: "dialect", type: "Dialect", list: "dialects" },
  { folder: "plugins/providers", item: "provider", type: "Provider", list: "providers" },
  { folder: "plugins/stores", item: "store", type: "StoreKind", list: "stores" },
] as const;

function pluginsIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .map((entry) => {
      const isFolder = statSync(join(root, folder, entry)).isDirectory();
      return isFolder ? `${entry}/index.ts` : entry;
    })
    .filter((file) => file.endsWith(".ts"))
    .sort();
}

function registry(): string {
  const imports: string[] = [];
  const bodies: string[] = [];
  for (const { folder, item, type, list } of lists) {
    const names: string[] = [];
    for (const file of pluginsIn(folder)) {
      const name = file.replace(/(\/index)?\.ts$/, "");
      const local = `${item}${name.replace(/(^|-)(\w)/g, (_m, _d, c: string) => c.toUpperCase())}`;
      imports.push(`import { ${item} as ${local} } from "../${folder}/${file}";`);
      names.push(local);
    }
    const cast = type === "Policy" ? " as unknown as readonly Policy[]" : "";
    bodies.push(
      `export const ${list}: readonly ${type}[] = [\n${names.map((n) => `  ${n},\n`).join("")}]${cast};\n`,
    );
  }
  return [
    "// Written by build.ts from the folders policies/ and plugins/: don't edit.",
    ...imports,
    'import type { Dialect, Provider } from "./contract/plugin.ts";',
    'import type { Policy } from "./contract/policy.ts";',
    'import type { StoreKind } from "./contract/store.ts";',
    "",
    bodies.join("\n"),
  ].join("\n");
}

/** Generated files by path; later ones may import earlier ones. */
const generated: readonly (readonly [path: string, make: () => Promise<string> | string])[] = [
  ["src/registry.gen.ts", registry],
  [
    "config.schema.json",
    async () => {
      const { claimants } = await import("./src/assembly.ts");
      const { toJsonSchema } = await import("./src/config/schema-doc.ts");
      return `${JSON.stringify(toJsonSchema(claimants), null, 2)}\n`;
    },
  ],
  [
    "config.example.yaml",
    async () => {
      const { claimants } = await import("./src/assembly.ts");
      const { toExampleYaml } = await import("./src/config/schema-doc.ts");
      return toExampleYaml(claimants);
    },
  ],
  [
    "docs/openapi.json",
    async () => {
      const { policies } = await import("./src/registry.gen.ts");
      const { coreOperations } = await import("./src/management/core.ts");
      const { toOpenapi } = await import("./src/management/openapi.ts");
      const operations = [...coreOperations, ...policies.flatMap((p) => p.admin ?? [])];
      return `${JSON.stringify(toOpenapi(operations, packageVersion()), null, 2)}\n`;
    },
  ],
  ["README.md", () => withTables("README.md")],
  ["docs/errors.md", () => withTables("docs/errors.md")],
  ["docs/http.md", () => withTables("docs/http.md")],
  ["docs/doctor.md", () => withTables("docs/doctor.md")],
];

function packageVersion(): string {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}

/** Replaces what stands between `<!-- generated: NAME -->` and `<!-- end -->`. */
async function withTables(path: string): Promise<string> {
  const { policies } = await import("./src/registry.gen.ts");
  const { usualLine } = await import("./src/plan.ts");
  const { errorTable } = await import("./src/errors.ts");
  const tables: Readonly<Record<string, () => string>> = {
    policies: () =>
      [
        "| policy | stage | what it does | on a fault |",
        "|---|---|---|---|",
        ...usualLine(policies).map(
          ({ name, stage, policy }) =>
            `| \`${name}\` | ${stage} | ${policy.summary} | ${policy.onFault} |`,
        ),
      ].join("\n"),
    errors: () =>
      [
        "| code | status | what it says |",
        "|---|---|---|",
        ...Object.entries(errorTable).map(([c, e]) => `| \`${c}\` | ${e.status} | ${e.message} |`),
      ].join("\n"),
    verdicts: verdictTable,
    ...(await findingTables()),
  };
  return readFileSync(join(root, path), "utf8").replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, open: string, name: string, close: string) => {
      const make = tables[name];
      if (make === undefined) throw new Error(`${path}: no generated table named ${name}`);
      return `${open}${make()}\n${close}`;
    },
  );
}

/** What `doctor` looks at, and an entry for each finding it may have. */
async function findingTables(): Promise<Record<string, () => string>> {
  const { areas, allKinds } = await import("./src/doctor/areas.ts");
  const { policyKinds } = await import("./src/assembly.ts");
  const kinds = allKinds(policyKinds);
  const sentence = (text: string): string => `${text[0]?.toUpperCase()}${text.slice(1)}.`;
  return {
    areas: () =>
      [
        "| area | what is looked at |",
        "|---|---|",
        ...areas.map(({ name, summary }) => `| \`${name}\` | ${summary} |`),
      ].join("\n"),
    findings: () =>
      areas
        .flatMap(({ name }) => [
          `### Area ${name}`,
          ...kinds
            .filter(({ area }) => area === name)
            .flatMap(({ id, severity, title, why, mend }) => [
              `#### ${id}`,
              `Usually **${severity}**. ${sentence(title)} ${why}`,
              `Mend: ${mend.replaceAll("<", "\\<")}.`,
            ]),
        ])
        .join("\n\n"),
  };
}

/** What each runtime decides, as the tests have pinned it. */
function verdictTable(): string {
  const file = join(root, "test/hostile/verdicts.json");
  const rows = JSON.parse(readFileSync(file, "utf8")) as Record<string, Record<string, string>>;
  const runtimes = ["bun", "node", "deno"];
  return [
    "| | what is sent | Bun | Node | Deno |",
    "|---|---|---|---|---|",
    ...Object.entries(rows).map(
      ([id, row]) => `| ${id} | ${row.case} | ${runtimes.map((r) => row[r] ?? "").join(" | ")} |`,
    ),
  ].join("\n");
}

async function generate(checkOnly: boolean): Promise<void> {
  const stale: string[] = [];
  for (const [path, make] of generated) {
    const now = await make();
    const old = readOrEmpty(path);
    if (now === old) continue;
    if (checkOnly) stale.push(path);
    else writeFileSync(join(root, path), now);
  }
  if (stale.length === 0) return;
  console.error(`not up to date: ${stale.join(", ")}\n  mend: npm run generate`);
  process.exit(1);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return "";
  }
}

/** Builds what is asked for; without words, the module and this machine's executable. */
async function buildAll(words: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...words],
    options: { target: { type: "string" }, static: { type: "boolean", default: false } },
  });
  const identity = identityOf(root);
  const dist = join(root, "dist");
  mkdirSync(dist, { recursive: true });
  const own = ownTarget();
  if (values.target === undefined && !values.static) {
    if (own === undefined) throw new Error("no runtime for this machine: name a --target");
    await bundleModule(root, identity);
    compile(root, own, identity, join(dist, `cliproxy${own.suffix}`));
    return;
  }
  for (const target of parseTargets(values.target ?? own?.name ?? "linux-x64")) {
    const file = join(dist, `cliproxy-${target.name}${target.suffix}`);
    compile(root, target, identity, file);
    if (values.static && canBeStatic(target)) packStatic(root, target, file, `${file}-static`);
  }
}

const words = process.argv.slice(2);
const isOnly = words[0] === "--generate" || words[0] === "--check";
await generate(words[0] === "--check");
if (!isOnly) await buildAll(words);
