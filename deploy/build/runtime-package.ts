import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "./targets.ts";

interface LockedPackage {
  readonly version: string;
  readonly integrity: string;
}

/** What the lock file says of an installed or optional package. */
export function lockedPackage(root: string, name: string): LockedPackage {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  const found = lock.packages[`node_modules/${name}`];
  if (found === undefined) throw new Error(`package-lock.json knows no ${name}: npm install`);
  return found;
}

/**
 * The runtime of a target: of `node_modules` when npm has installed it for this machine, else
 * fetched by npm, from its cache where it can, and checked against the lock file.
 */
export function runtimeOf(root: string, target: Target): string {
  const installed = join(root, "node_modules", target.package, target.runtime);
  if (existsSync(installed)) return installed;
  const { version, integrity } = lockedPackage(root, target.package);
  const kept = join(root, "node_modules/.cache/cliproxy", `${target.name}-${version}`);
  if (!existsSync(kept)) fetchPackage(`${target.package}@${version}`, integrity, kept);
  return join(kept, "package", target.runtime);
}

function fetchPackage(spec: string, integrity: string, to: string): void {
  mkdirSync(join(to, ".."), { recursive: true });
  const dir = mkdtempSync(`${to}.`);
  try {
    const args = ["pack", spec, "--silent", "--prefer-offline", "--pack-destination", dir];
    const file = join(dir, run("npm", args).trim().split("\n").at(-1) ?? "");
    const digest = createHash("sha512").update(readFileSync(file)).digest("base64");
    if (`sha512-${digest}` !== integrity) {
      throw new Error(`${spec} is not what package-lock.json holds: nothing of it is used`);
    }
    run("tar", ["-xzf", file, "-C", dir]);
    rmSync(file);
    renameSync(dir, to);
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Runs a program to its end and returns what it printed; throws with its words if it fails. */
export function run(program: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0)
    throw new Error(`${program} ${args[0]} ended with ${status}\n${stdout}${stderr}`);
  return stdout;
}
