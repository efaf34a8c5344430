import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onCleanup } from "./cleanup.ts";
import { binary, cleanEnv, makeDir } from "./proxy.ts";

/** Keys of the vault for tests. */
export const vaultKeys = [
  "n1Vb0Qx4Zt7Kc9Lw2Rm5Yh8Js3Df6Gp0AqWeEiUoTyM=",
  "c3RhbmRzLWZvci1hLWtleS10aGF0LWlzLWxvc3QuLi4=",
] as const;

/** A directory of credentials and the configuration that names it. */
export interface AuthsPlace {
  readonly auths: string;
  /** Writes `auth.encryption` anew. */
  encryption(settings: object): void;
  /** Runs `cliproxy auths …` to its end. */
  run(args: readonly string[], input?: string): { code: number | null; out: string; err: string };
  /** Starts it, to be ended before its end. */
  start(args: readonly string[], input?: string): ChildProcess;
}

export function makeAuthsPlace(): AuthsPlace {
  const dir = makeDir();
  const auths = join(dir, "auths");
  const config = join(dir, "c.yaml");
  mkdirSync(auths, { mode: 0o700 });
  const encryption = (settings: object): void =>
    writeFileSync(config, JSON.stringify({ auth: { dir: auths, encryption: settings } }));
  encryption({ enabled: true, keys: [vaultKeys[0]] });
  const words = (args: readonly string[]) => ["auths", ...args, "--config", config];
  return {
    auths,
    encryption,
    run(args, input = "") {
      const { status, stdout, stderr } = spawnSync(binary, words(args), {
        ...{ input, encoding: "utf8", env: cleanEnv(), cwd: dir, timeout: 20_000 },
      });
      return { code: status, out: stdout, err: stderr };
    },
    start(args, input = "") {
      const child = spawn(binary, words(args), {
        ...{ cwd: dir, env: cleanEnv(), stdio: ["pipe", "ignore", "ignore"] },
      });
      onCleanup(() => void child.kill("SIGKILL"));
      child.stdin?.on("error", () => {});
      child.stdin?.end(input);
      return child;
    },
  };
}

export function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.on("exit", (code) => resolve(code)));
}
