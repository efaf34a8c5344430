import { accessSync, constants, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { OpenDatabase, OpenStore, Store, StoreKind, StoreOptions } from "./contract/store.ts";
import type { StateSettings } from "./settings.ts";

/** Where the state of a process will be, before anything is opened. */
export interface StatePlan {
  readonly kind: StoreKind;
  /** Of the file; empty where there is none. */
  readonly path: string;
  readonly durability: Store["durability"];
  /** What differs from what one would expect. */
  readonly warnings: readonly string[];
}

/** The state that a process holds through all reloads. */
export interface HeldState {
  readonly plan: StatePlan;
  readonly store: OpenStore;
  /** What the configuration said when it was opened. */
  readonly settings: StateSettings;
}

/** A setting that can't be had, and how to mend it. */
export interface StateProblem {
  readonly path: "state.store" | "state.path";
  readonly message: string;
  readonly mend: string;
}

const fileName = "cliproxy.db";

/**
 * Decides where the state goes; creates nothing.
 * @param openDatabase of the runtime; undefined where it has no SQLite
 */
export function planState(
  settings: StateSettings,
  authDir: string,
  kinds: readonly StoreKind[],
  openDatabase: OpenDatabase | undefined,
): StatePlan | StateProblem {
  const memory = kindOf(kinds, "memory");
  if (settings.store === "memory") {
    if (settings.path === undefined) {
      return { kind: memory, path: "", durability: "volatile", warnings: [] };
    }
    const message = "does nothing, since state.store is memory";
    return { path: "state.path", message, mend: "remove one of the two" };
  }
  const kind = kindOf(kinds, settings.store ?? "sqlite");
  const isAsked = settings.store !== undefined || settings.path !== undefined;
  const lacking = (why: string): StatePlan => ({
    ...{ kind: memory, path: "", durability: "lacking" },
    warnings: [`${why}: counters and lists are forgotten when the process ends`],
  });
  if (openDatabase === undefined) {
    if (!isAsked) return lacking("this runtime has no SQLite");
    const path = settings.store === undefined ? "state.path" : "state.store";
    const message = "needs SQLite, which this runtime does not have";
    return { path, message, mend: "use the executable, Bun, Deno or Node 22.13, or memory" };
  }
  const usual = join("state", fileName);
  const beside = join(authDir, ".state", fileName);
  const candidates = settings.path === undefined ? [usual, beside] : [settings.path];
  const path = candidates.find(isWritable);
  if (path !== undefined) {
    const isElsewhere = settings.path === undefined && path !== usual;
    const warnings = isElsewhere ? [`./state is not writable: the state is in ${path}`] : [];
    return { kind, path, durability: "durable", warnings };
  }
  if (!isAsked) return lacking(`neither ./state nor ${dirname(beside)} is writable`);
  const message = `can't write below ${dirname(candidates[0] ?? "")}`;
  return { path: "state.path", message, mend: "name a file in a directory that it may write" };
}

/** Opens what was planned; in `check` a store that forgets takes its place. */
export async function openState(
  plan: StatePlan,
  settings: StateSettings,
  kinds: readonly StoreKind[],
  options: Omit<StoreOptions, "durability" | "path">,
  serving: boolean,
): Promise<HeldState> {
  const { path, durability } = plan;
  const kind = serving ? plan.kind : kindOf(kinds, "memory");
  const store = await kind.open({ ...options, path, durability });
  const { loss } = store;
  if (loss === undefined) return { plan, store, settings };
  return { plan: { ...plan, warnings: [...plan.warnings, loss.message] }, store, settings };
}

function kindOf(kinds: readonly StoreKind[], name: string): StoreKind {
  const kind = kinds.find((k) => k.name === name);
  if (kind === undefined) throw new Error(`there is no store named ${name}`);
  return kind;
}

/** Whether a file can be made or written there, judged by the nearest directory that exists. */
function isWritable(path: string): boolean {
  const { W_OK, X_OK } = constants;
  let directory = dirname(path);
  while (!existsSync(directory) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  try {
    accessSync(directory, W_OK | X_OK);
    if (existsSync(path)) accessSync(path, W_OK);
    return true;
  } catch {
    return false;
  }
}
