import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createHouse } from "../../src/cli/house.ts";
import { areas } from "../../src/doctor/areas.ts";
import { gatherConfig } from "../../src/doctor/config-facts.ts";
import { type Examination, examine, gatherFacts } from "../../src/doctor/examine.ts";
import type { Facts } from "../../src/doctor/facts.ts";
import type { MachineFacts } from "../../src/doctor/machine-facts.ts";
import type { Probe, Stat } from "../../src/doctor/probe.ts";
import { silentLogger } from "../../src/log.ts";
import { currentRuntime } from "../../src/runtime/process.ts";

/** Never made: all that is there stands in the table of a test. */
export const base = join(tmpdir(), "cliproxy-planted-nowhere");
/** When the planted world is. */
export const nowMs = Date.UTC(2026, 10, 25);
/** As whom it is looked at. */
export const me = 1000;

/** A planted file; the usual is what nothing is wrong with. */
export interface Planted extends Partial<Stat> {
  readonly text?: string;
  /** A link to there. */
  readonly target?: string;
  /** What the system says instead. */
  readonly error?: string;
}

/** A file system in a table; directories above what is planted are there, and root's. */
export function plantedProbe(tree: Readonly<Record<string, Planted>>): Probe {
  const all = new Map<string, Planted>(Object.entries(tree));
  for (const path of Object.keys(tree)) {
    for (let at = dirname(path); !all.has(at); at = dirname(at)) {
      all.set(at, { kind: "directory", mode: at === tmpdir() ? 0o1777 : 0o755, uid: 0, gid: 0 });
    }
  }
  const real = (path: string): string => {
    const target = all.get(path)?.target;
    return target === undefined ? path : real(target);
  };
  return {
    uid: me,
    gid: me,
    stat(path) {
      const one = all.get(path);
      if (one === undefined) return { error: "ENOENT" };
      if (one.error !== undefined) return { error: one.error };
      const kind = one.target === undefined ? (one.kind ?? "file") : "link";
      const { mode = kind === "directory" ? 0o700 : 0o600, uid = me, gid = uid } = one;
      return { kind, mode, uid, gid, size: one.size ?? 1, mtimeMs: one.mtimeMs ?? nowMs };
    },
    list: (path) =>
      [...all.keys()]
        .filter((one) => dirname(one) === path && one !== path)
        .map((one) => one.slice(path.length + 1))
        .sort(),
    read: (path, most) => all.get(real(path))?.text?.slice(0, most),
    real: (path) => (all.has(real(path)) ? real(path) : undefined),
    space: () => undefined,
  };
}

/** A machine with which nothing is wrong. */
export const soundMachine: MachineFacts = {
  status: { uid: me, capabilities: [], noNewPrivileges: true, seccomp: 2, tracer: 0 },
  openFiles: 65_536,
  coreBytes: 0,
  memoryLimitBytes: 1024 ** 3,
  container: undefined,
  mounts: [],
  hasDockerSocket: false,
  ptraceScope: 1,
  randomized: 2,
  hasSwap: false,
  isClockSynchronized: true,
  disks: [],
};

export interface World {
  /** YAML; `BASE` stands for the directory of all that is planted. */
  readonly config?: string;
  readonly files?: Readonly<Record<string, Planted>>;
  readonly machine?: Partial<MachineFacts>;
  readonly env?: Readonly<Record<string, string>>;
  readonly nowMs?: number;
}

/** The least that starts, with nothing to write. */
const usual = "auth: { dir: BASE/auths }\nstate: { store: memory }\n";

/** What doctor knows of a planted world. */
export async function factsOf(world: World): Promise<Facts> {
  const file = join(base, "config.yaml");
  const text = (world.config ?? usual).replaceAll("BASE", base);
  const env = world.env ?? {};
  const source = { file, text, env, overrides: {} };
  const config = await gatherConfig(source, createHouse(silentLogger), await currentRuntime());
  const files = Object.entries({ "config.yaml": {}, ...world.files }).map(
    ([path, planted]) => [path.startsWith("/") ? path : join(base, path), planted] as const,
  );
  const probe = plantedProbe(Object.fromEntries(files));
  const facts = gatherFacts(config, probe, env, world.nowMs ?? nowMs, [join(base, "cliproxy")]);
  return { ...facts, machine: { ...soundMachine, ...world.machine } };
}

export async function examined(world: World): Promise<Examination> {
  return examine(await factsOf(world), areas);
}

/** `severity id` of what is found in a world and not in one that is sound. */
export async function foundIn(world: World): Promise<string[]> {
  const { findings } = await examined(world);
  return findings.map(({ severity, id }) => `${severity} ${id}`);
}
