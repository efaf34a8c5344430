import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FakeUpstream } from "../harness/fake-upstream.ts";
import { providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { type Engine, type RunOptions, runWords } from "./engine.ts";

export const nobody = 65534;
export const managementKey = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";

/** A container that serves, and what can be asked of it from outside and inside. */
export interface Box {
  readonly proxy: RunningProxy;
  readonly upstream: FakeUpstream;
  /** Where its volumes are. */
  readonly dir: string;
  /** Of the first process, as this machine numbers it. */
  readonly pid: number;
  readonly memoryBytes: number;
  /** Runs a program of the image beside the first process. */
  exec(...words: readonly string[]): { readonly status: number; readonly text: string };
  /** A file below /proc of the first process. */
  proc(name: string): string;
  /** A file of its control group, by the names of both versions. */
  cgroup(controller: string, old: string, name: string): string;
  config(over?: Readonly<Record<string, unknown>>): Record<string, unknown>;
}

/** The configuration of the guide's sections, over the container's own folders. */
function configFor(upstream: FakeUpstream, over: Readonly<Record<string, unknown>> = {}) {
  return {
    server: {
      port: 0,
      trusted_proxies: ["127.0.0.9/32"],
      security: { ip_denylist: { denied_ips: ["192.0.2.0/24"] } },
      ...((over.server as Record<string, unknown>) ?? {}),
    },
    auth: { dir: "/auths" },
    providers: {
      ...providersOf(upstream.url),
      tight: { ...providersOf(upstream.url).oai, rate_limit: { requests_per_minute: 2 } },
    },
    management: { key: managementKey },
    metrics: { enabled: true, port: 0 },
    logging: { audit: { enabled: true, file: "/logs/audit.log", max_size: "64KiB" } },
    state: { store: "sqlite", path: "/state/cliproxy.db" },
  };
}

/** Makes the folders that the compose file mounts, owned as its head says. */
export function makeVolumes(dir: string): void {
  for (const name of ["auths", "logs", "state"]) {
    mkdirSync(join(dir, name), { mode: 0o700, recursive: true });
    chownSync(join(dir, name), nobody, nobody);
  }
  for (const name of ["tls", "policies"]) mkdirSync(join(dir, name), { recursive: true });
}

/** Starts an image as the compose file says. */
export async function openBox(
  engine: Engine,
  upstream: FakeUpstream,
  options: Omit<RunOptions, "dir"> & { readonly memory: string; readonly reuse?: string },
): Promise<Box> {
  let words: string[] = [];
  let dir = options.reuse ?? "";
  const config = (over?: Readonly<Record<string, unknown>>) => configFor(upstream, over);
  const proxy = await startProxy({
    config: config(),
    // The harness names a program of this machine first; the image has its own.
    wrap: ["sh", "-c", 'shift; exec $(cat "$WORDS") "$@"', "sh"],
    env: { HOME: engine.dir, WORDS: join(engine.dir, `${options.name}.words`) },
    prepare(made) {
      if (dir === "") makeVolumes(made);
      // A second start in the same folders, with the configuration of the first.
      const volumes = options.reuse ?? made;
      words = runWords(engine, { ...options, dir: volumes });
      writeFileSync(join(engine.dir, `${options.name}.words`), words.join("\n"));
      dir = volumes;
    },
    args: () => ["serve", "--json"],
  });
  const inspect = engine.ask("inspect", options.name, "--format", "{{.State.Pid}}");
  const pid = Number(inspect.stdout.trim());
  const proc = (name: string) => readFileSync(`/proc/${pid}/${name}`, "utf8");
  return {
    proxy,
    upstream,
    dir,
    pid,
    memoryBytes: bytesOf(options.memory),
    exec(...command) {
      const ran = engine.ask("exec", options.name, ...command);
      return { status: ran.status ?? -1, text: ran.stdout + ran.stderr };
    },
    proc,
    cgroup(controller, old, name) {
      const groups = proc("cgroup");
      const own = new RegExp(`^\\d+:(?:[\\w,]+,)?${controller}(?:,[\\w,]+)?:(.*)$`, "m");
      const path = own.exec(groups)?.[1];
      if (path !== undefined) {
        return readFileSync(join("/sys/fs/cgroup", controller, path, old), "utf8").trim();
      }
      const unified = /^0::(.*)$/m.exec(groups)?.[1] ?? "/";
      return readFileSync(join("/sys/fs/cgroup", unified, name), "utf8").trim();
    },
    config,
  };
}

function bytesOf(text: string): number {
  const [, number, unit] = /^(\d+)([mgMG])$/.exec(text) ?? [];
  return Number(number) * (unit?.toLowerCase() === "g" ? 2 ** 30 : 2 ** 20);
}

/** Compiles a program that an image can run, whatever it holds. */
export function compileStatic(source: string, outfile: string): void {
  const flags = ["-Os", "-Wall", "-Wextra", "-Werror", "-static", "-o", outfile, source];
  const { status, stderr, error } = spawnSync("gcc", flags, { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr);
}
