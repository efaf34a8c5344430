import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build as bundle } from "esbuild";
import type { Identity } from "./identity.ts";
import { run, runtimeOf } from "./runtime-package.ts";
import type { Target } from "./targets.ts";

/**
 * `.env` and `bunfig.toml` of the working directory would run foreign settings and code, so their
 * loading is turned off; `eval` throws. Byte code makes the start four times as fast, and only in
 * the ESM form takes the source as it is. The map is embedded: traces name files and lines.
 */
const compileFlags = [
  ...["build", "--compile", "--minify", "--bytecode", "--format=esm", "--sourcemap"],
  ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
  "--compile-exec-argv=--disallow-code-generation-from-strings --no-addons",
];

/** Constants of the source that only a build knows, as JavaScript. */
function constants({ version, commit, build }: Identity): Record<string, string> {
  return {
    CLIPROXY_VERSION: JSON.stringify(version),
    CLIPROXY_COMMIT: JSON.stringify(commit),
    CLIPROXY_BUILD: JSON.stringify(build),
  };
}

/**
 * Builds the single executable of a target into a file. The runtime writes the name of the file
 * into it, so it is always built under the same one.
 */
export function compile(root: string, target: Target, identity: Identity, outfile: string): void {
  const dir = `${outfile}.building`;
  const built = join(dir, `cliproxy${target.suffix}`);
  const define = Object.entries(constants(identity)).map(([k, value]) => `--define=${k}=${value}`);
  const args = [
    ...compileFlags,
    ...define,
    `--target=bun-${target.name}`,
    `--compile-executable-path=${runtimeOf(root, target)}`,
    "src/main.ts",
    "src/scripts/worker.ts",
    ...["--outfile", built],
  ];
  mkdirSync(dir, { recursive: true });
  try {
    run(process.execPath, args, root);
    renameSync(built, outfile);
    renameSync(`${built}.map`, `${outfile}.map`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  seal(outfile);
}

/** Packages in the older form of modules ask for Node's own by `require`. */
const bundleStart = [
  "#!/usr/bin/env node",
  'import { createRequire as makeRequire } from "node:module";',
  "const require = makeRequire(import.meta.url);",
].join("\n");

/** One module without dependencies, readable as it is. */
export async function bundleModule(root: string, identity: Identity): Promise<void> {
  const outfile = join(root, "dist/cliproxy.mjs");
  await bundle({
    absWorkingDir: root,
    entryPoints: ["src/main.ts"],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["bun:*"],
    define: constants(identity),
    banner: { js: bundleStart },
    sourcemap: true,
    legalComments: "eof",
    logLevel: "warning",
  });
  chmodSync(outfile, 0o755);
  seal(outfile);
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Writes the digest of a built file beside it. */
export function seal(path: string): void {
  const bytes = readFileSync(path);
  const digest = sha256Of(bytes);
  writeFileSync(`${path}.sha256`, `${digest}  ${basename(path)}\n`);
  console.log(`${basename(path)}: ${(bytes.length / 1e6).toFixed(1)} MB, sha256 ${digest}`);
}
