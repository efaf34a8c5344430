import { Buffer } from "node:buffer";
import { dirname, join, resolve, sep } from "node:path";
import type { ConfigFacts } from "./facts.ts";
import type { Probe, Stat } from "./probe.ts";

/** What a file is for, which says who may read and write it. */
export type Role =
  | "config"
  | "credentials"
  | "credential"
  | "key"
  | "secret"
  | "certificate"
  | "state"
  | "audit"
  | "policies"
  | "policy"
  | "program";

/** A path that matters, as it is on the disk. */
export interface Seen extends Stat {
  readonly role: Role;
  /** Absolute. */
  readonly path: string;
  /** Where it leads, if it is a link. */
  readonly target: string | undefined;
}

export interface FileFacts {
  readonly uid: number;
  readonly gid: number;
  /** Links are followed: the file behind one is in the list, too. */
  readonly seen: readonly Seen[];
  /** Directories above what was seen, by path; the root as well. */
  readonly above: ReadonlyMap<string, Stat>;
  /** Those that are there, and that the process may not look into. */
  readonly unreadable: readonly { readonly path: string; readonly error: string }[];
  /** Files in auth.dir that are JSON, by path. */
  readonly credentials: ReadonlyMap<string, string>;
  /** Of what was seen, what a repository of git keeps, by path. */
  readonly tracked: readonly string[];
  /** More files than are looked at. */
  readonly isCut: boolean;
}

/** Most files that are looked at, and most bytes of each that are read. */
export const fileLimits = { files: 5000, credentialBytes: 65_536, indexBytes: 16 * 1024 ** 2 };
/** How deep directories in auth.dir are looked into. */
const deepest = 4;

/** Looks at all files that the configuration names, and at what is above them. */
export function gatherFiles(
  config: ConfigFacts,
  probe: Probe,
  programs: readonly string[],
): FileFacts {
  const walk = new Walk(probe);
  if (config.file !== undefined) walk.add("config", config.file);
  const authDir = textOf(config, "auth.dir") ?? "./auths";
  walk.add("credentials", authDir, roleInAuthDir);
  const state = config.plan?.state.path ?? textOf(config, "state.path") ?? "";
  if (state !== "") for (const end of ["", "-wal", "-shm"]) walk.add("state", state + end);
  const audit = textOf(config, "logging.audit.file");
  if (audit !== undefined) walk.addSiblings("audit", audit);
  walk.add("policies", textOf(config, "policies.dir"), () => "policy");
  for (const { from, name } of config.secretsUsed) if (from === "file") walk.add("secret", name);
  walk.add("secret", textOf(config, "server.tls.key_file"));
  walk.add("certificate", textOf(config, "server.tls.cert_file"));
  walk.add("certificate", textOf(config, "server.tls.client_ca_file"));
  for (const program of programs) if (program !== "") walk.add("program", program);
  return walk.facts();
}

function textOf(config: ConfigFacts, path: string): string | undefined {
  const value = config.get(path);
  return typeof value === "string" && value !== "" ? value : undefined;
}

function roleInAuthDir(name: string): Role {
  return /\.(?:key|pem)$/.test(name)
    ? "key"
    : /\.(?:db|db-wal|db-shm)$/.test(name)
      ? "state"
      : "credential";
}

class Walk {
  readonly #probe: Probe;
  readonly #seen = new Map<string, Seen>();
  readonly #above = new Map<string, Stat>();
  readonly #unreadable = new Map<string, { path: string; error: string }>();
  readonly #credentials = new Map<string, string>();
  #isCut = false;

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** @param inside says what the files of a directory are; absent: nobody looks into it */
  add(role: Role, given: string | undefined, inside?: (name: string) => Role, depth = 0): void {
    if (given === undefined) return;
    const path = resolve(given);
    if (this.#seen.has(path)) return;
    if (this.#seen.size >= fileLimits.files) {
      this.#isCut = true;
      return;
    }
    const stat = this.#probe.stat(path);
    if ("error" in stat) {
      if (stat.error !== "ENOENT" && stat.error !== "ENOTDIR") {
        this.#unreadable.set(path, { path, error: stat.error });
      }
      return;
    }
    const target = stat.kind === "link" ? this.#probe.real(path) : undefined;
    this.#seen.set(path, { ...stat, role, path, target });
    this.#climb(path);
    if (target !== undefined) this.add(role, target, inside, depth);
    if (role === "credential" && stat.kind === "file" && path.endsWith(".json")) {
      const text = this.#probe.read(path, fileLimits.credentialBytes);
      if (text !== undefined) this.#credentials.set(path, text);
    }
    if (stat.kind !== "directory" || inside === undefined || depth >= deepest) return;
    const names = this.#probe.list(path);
    if (names === undefined) this.#unreadable.set(path, { path, error: "EACCES" });
    for (const name of names ?? []) {
      const below = join(path, name);
      const isDirectory = "kind" in this.#probe.stat(below) && this.#isDirectory(below);
      this.add(isDirectory ? role : inside(name), below, inside, depth + 1);
    }
  }

  /** A log, and what it was rotated to. */
  addSiblings(role: Role, given: string): void {
    const path = resolve(given);
    const dir = dirname(path);
    for (const name of this.#probe.list(dir) ?? []) {
      if (join(dir, name).startsWith(path)) this.add(role, join(dir, name));
    }
    this.#climb(path);
  }

  facts(): FileFacts {
    const { uid, gid } = this.#probe;
    const seen = [...this.#seen.values()];
    return {
      ...{ uid, gid, seen, above: this.#above, unreadable: [...this.#unreadable.values()] },
      ...{ credentials: this.#credentials, isCut: this.#isCut, tracked: this.#tracked(seen) },
    };
  }

  #isDirectory(path: string): boolean {
    const stat = this.#probe.stat(path);
    return "kind" in stat && stat.kind === "directory";
  }

  #climb(path: string): void {
    for (let at = dirname(path); !this.#above.has(at); at = dirname(at)) {
      const stat = this.#probe.stat(at);
      if ("kind" in stat) this.#above.set(at, stat);
      if (dirname(at) === at) return;
    }
  }

  #tracked(seen: readonly Seen[]): string[] {
    const repositories = [...this.#above.keys()].filter(
      (dir) => "kind" in this.#probe.stat(join(dir, ".git")),
    );
    return repositories.flatMap((dir) => {
      const index = this.#probe.read(join(dir, ".git", "index"), fileLimits.indexBytes) ?? "";
      const isTracked = ({ path }: Seen): boolean =>
        path.startsWith(dir + sep) && isInIndex(index, path.slice(dir.length + 1));
      return seen.filter(isTracked).map(({ path }) => path);
    });
  }
}

/** The index of git names each file that a commit would keep, its length before it. */
function isInIndex(index: string, path: string): boolean {
  const name = Buffer.from(path.replaceAll(sep, "/")).toString("latin1");
  for (let at = index.indexOf(`${name}\0`); at >= 0; at = index.indexOf(`${name}\0`, at + 1)) {
    if (index.charCodeAt(at - 1) === (name.length & 0xff)) return true;
  }
  return false;
}
