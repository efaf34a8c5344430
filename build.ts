/**
 * Builds `dist/cliproxy` for this machine, and `dist/cliproxy.mjs` for Node and Deno.
 *   bun build.ts              generated files, then both
 *   bun build.ts --generate   only the generated files
 *   bun build.ts --check      fails when a generated file is not up to date
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build as bundle } from "esbuild";

const root = import.meta.dirname;
const mode = process.argv[2];

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

/**
 * `.env` and `bunfig.toml` of the working directory would run foreign settings and code, so their
 * loading is turned off; `eval` throws.
 */
const compileFlags = [
  ...["build", "--compile", "--minify", "--bytecode", "--format=esm", "--sourcemap"],
  ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
  "--compile-exec-argv=--disallow-code-generation-from-strings --no-addons",
];

/** Constants of the source that only a build knows, as JavaScript. */
function constants(): Record<string, string> {
  return { CLIPROXY_VERSION: JSON.stringify(packageVersion()) };
}

function compile(): void {
  const out = join(root, "dist/cliproxy");
  const define = Object.entries(constants()).map(([name, value]) => `--define=${name}=${value}`);
  const args = [
    ...compileFlags,
    ...define,
    "src/main.ts",
    "src/scripts/worker.ts",
    "--outfile",
    out,
  ];
  const built = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (built.status !== 0) {
    console.error(built.stdout + built.stderr);
    process.exit(built.status ?? 1);
  }
  seal(out);
}

/** Packages in the older form of modules ask for Node's own by `require`. */
const bundleStart = [
  "#!/usr/bin/env node",
  'import { createRequire as makeRequire } from "node:module";',
  "const require = makeRequire(import.meta.url);",
].join("\n");

/** One module without dependencies, readable as it is. */
async function bundleModule(): Promise<void> {
  const outfile = join(root, "dist/cliproxy.mjs");
  await bundle({
    absWorkingDir: root,
    entryPoints: ["src/main.ts"],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["bun:*", "esbuild"],
    define: constants(),
    banner: { js: bundleStart },
    sourcemap: true,
    legalComments: "eof",
    logLevel: "warning",
  });
  chmodSync(outfile, 0o755);
  seal(outfile);
}

/** Writes the digest of a built file beside it. */
function seal(path: string): void {
  const bytes = readFileSync(path);
  const digest = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(`${path}.sha256`, `${digest}  ${basename(path)}\n`);
  console.log(`${basename(path)}: ${(bytes.length / 1e6).toFixed(1)} MB, sha256 ${digest}`);
}

await generate(mode === "--check");
if (mode === undefined) {
  mkdirSync(join(root, "dist"), { recursive: true });
  await bundleModule();
  compile();
}
