import { arch, platform } from "node:os";

/** A machine that an executable is built for. */
export interface Target {
  readonly name: TargetName;
  /** The registry's package with the runtime that the executable is made of. */
  readonly package: string;
  /** The runtime inside that package. */
  readonly runtime: string;
  /** Ending of the executable's name. */
  readonly suffix: string;
}

const names = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "windows-x64"] as const;
export type TargetName = (typeof names)[number];

/** Every target; glibc on Linux. */
export const targets: readonly Target[] = names.map((name) => {
  const isWindows = name.startsWith("windows-");
  return {
    name,
    package: `@oven/bun-${name.replace("arm64", "aarch64")}`,
    runtime: isWindows ? "bin/bun.exe" : "bin/bun",
    suffix: isWindows ? ".exe" : "",
  };
});

/** The target that is this machine; undefined on one that is none. */
export function ownTarget(): Target | undefined {
  const name = `${platform() === "win32" ? "windows" : platform()}-${arch()}`;
  return targets.find((target) => target.name === name);
}

/**
 * The targets that a command line asks for: names with commas between them, or `all`.
 * @throws Error that lists the names when one is unknown
 */
export function parseTargets(text: string): readonly Target[] {
  if (text === "all") return targets;
  return text.split(",").map((name) => {
    const found = targets.find((target) => target.name === name);
    if (found === undefined)
      throw new Error(`no target ${name}: choose of all, ${names.join(", ")}`);
    return found;
  });
}
