import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What an executable says it is made of. */
export interface Identity {
  readonly version: string;
  /** Of git; empty where neither git nor CLIPROXY_COMMIT tells it. */
  readonly commit: string;
  /** The same for the same sources and dependencies, whatever the commit. */
  readonly build: string;
}

/** All that ends up in an executable. */
const sources = ["src", "policies", "plugins", "package-lock.json", "package.json", "build.ts"];

export function identityOf(root: string): Identity {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return { version: manifest.version, commit: commitOf(root), build: buildId(root) };
}

/** A build from an archive has no repository around it, and is told its commit. */
function commitOf(root: string): string {
  const told = process.env.CLIPROXY_COMMIT;
  if (told !== undefined && /^[0-9a-f]{40}$/.test(told)) return told;
  const asked = spawnSync("git", ["rev-parse", "HEAD"], { cwd: root, encoding: "utf8" });
  return asked.status === 0 ? asked.stdout.trim() : "";
}

function buildId(root: string): string {
  const hash = createHash("sha256");
  for (const path of sources.flatMap((name) => filesBelow(root, name)).sort()) {
    const digest = createHash("sha256")
      .update(readFileSync(join(root, path)))
      .digest("hex");
    hash.update(`${digest}  ${path}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}

function filesBelow(root: string, name: string): string[] {
  if (/\.(?:ts|json)$/.test(name)) return [name];
  return readdirSync(join(root, name), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => `${name}/${path.replaceAll("\\", "/")}`);
}
