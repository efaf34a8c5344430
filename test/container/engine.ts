import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { onCleanup } from "../harness/cleanup.ts";

export const root = resolve(import.meta.dirname, "../..");

/** What the image is made of: the C library of a base image, or nothing. */
export type Form = "base" | "static";

/** Podman and buildah with a store of their own, that goes with the test. */
export class Engine {
  readonly dir: string;
  readonly #store: readonly string[];

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "cliproxy-container-"));
    this.#store = ["--root", join(this.dir, "store"), "--runroot", join(this.dir, "run")];
    onCleanup(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  /** The words in front of a podman command. */
  get podman(): readonly string[] {
    const how = ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc"];
    return ["podman", ...this.#store, ...how];
  }

  /** Runs podman to its end. */
  ask(...words: readonly string[]) {
    const [program = "", ...rest] = [...this.podman, ...words];
    return spawnSync(program, rest, { encoding: "utf8" });
  }

  /** Builds from a Dockerfile; throws with what the builder said when it fails. */
  build(tag: string, context: string, ...words: readonly string[]): void {
    const storage = ["--storage-driver=vfs", ...this.#store];
    const how = ["--isolation=chroot", "--format=docker", "--network=host", "--tag", tag];
    const args = [...storage, "build", ...how, ...words, context];
    const built = spawnSync("buildah", args, { cwd: root, encoding: "utf8" });
    if (built.error !== undefined) throw built.error;
    if (built.status !== 0) throw new Error(`${built.stdout}\n${built.stderr}`);
  }

  /** Builds an image out of a folder alone. */
  buildOf(tag: string, folder: string): void {
    const context = dirname(folder);
    writeFileSync(join(context, "Dockerfile"), `FROM scratch\nCOPY ${basename(folder)}/ /\n`);
    this.build(tag, context, "--file", join(context, "Dockerfile"));
  }
}

/**
 * Builds `Dockerfile.distroless`. Neither of its images can be pulled without a network: the one
 * it is built in becomes this machine's own tools, and its base the files of this machine's C
 * library that the public one has.
 */
export function buildImage(engine: Engine, form: Form): string {
  const tag = `localhost/cliproxy:${form}`;
  const of = { BUILD_IMAGE: "localhost/tools", BASE_IMAGE: "localhost/base" };
  if (engine.ask("image", "exists", of.BUILD_IMAGE).status !== 0) {
    engine.buildOf(of.BUILD_IMAGE, toolsFolder(engine.dir));
    engine.buildOf(of.BASE_IMAGE, baseFolder(engine.dir));
  }
  const isStatic = form === "static";
  const commit = spawnSync("git", ["rev-parse", "HEAD"], { cwd: root, encoding: "utf8" }).stdout;
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const args = {
    BUILD_IMAGE: of.BUILD_IMAGE,
    BASE_IMAGE: isStatic ? "scratch" : of.BASE_IMAGE,
    FORM: isStatic ? "-static" : "",
    COMMIT: commit.trim(),
    VERSION: version,
  };
  const words = Object.entries(args).flatMap(([k, value]) => ["--build-arg", `${k}=${value}`]);
  engine.build(tag, root, "--file", "Dockerfile.distroless", ...toolVolumes(), ...words);
  return tag;
}

const builderHome = "/tmp/builder";

/** Directories of tools are lent, so that nothing of them is copied. */
function toolVolumes(): string[] {
  const npmrc = join(homedir(), ".npmrc");
  const cache = spawnSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).stdout.trim();
  mkdirSync(cache, { recursive: true });
  const lent = [
    ["/usr", "/usr", "ro"],
    [cache, `${builderHome}/.npm`, "rw"],
  ];
  if (existsSync(npmrc)) lent.push([npmrc, `${builderHome}/.npmrc`, "ro"]);
  return lent.flatMap((volume) => ["--volume", volume.join(":")]);
}

function toolsFolder(dir: string): string {
  const folder = join(dir, "tools-context", "tools");
  for (const name of ["usr", "etc", "tmp", "proc", "dev", "sys"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  chmodSync(join(folder, "tmp"), 0o1777);
  for (const name of ["bin", "sbin", "lib", "lib64"])
    symlinkSync(`usr/${name}`, join(folder, name));
  for (const name of ["resolv.conf", "hosts", "ssl", "alternatives"]) {
    cpSync(`/etc/${name}`, join(folder, "etc", name), { recursive: true, verbatimSymlinks: true });
  }
  writeFileSync(join(folder, "etc/passwd"), `root:x:0:0::${builderHome}:/bin/sh\n`);
  writeFileSync(join(folder, "etc/group"), "root:x:0:\n");
  return folder;
}

/** What distroless/base-nossl has that we use: five files of the C library, and names of users. */
function baseFolder(dir: string): string {
  const folder = join(dir, "base-context", "base");
  const libraries = "/lib/x86_64-linux-gnu";
  for (const name of ["etc", "tmp", "lib64", libraries]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  chmodSync(join(folder, "tmp"), 0o1777);
  const loader = "/lib64/ld-linux-x86-64.so.2";
  copyFileSync(realpathSync(loader), join(folder, loader));
  for (const name of ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"]) {
    copyFileSync(realpathSync(join(libraries, name)), join(folder, libraries, name));
  }
  writeFileSync(join(folder, "etc/passwd"), "nobody:x:65534:65534::/nonexistent:/sbin/nologin\n");
  writeFileSync(join(folder, "etc/group"), "nogroup:x:65534:\n");
  writeFileSync(join(folder, "etc/nsswitch.conf"), "hosts: files dns\n");
  return folder;
}

/** The service of the compose file, as far as an engine is told of it. */
export interface ComposeService {
  readonly user: string;
  readonly read_only: boolean;
  readonly tmpfs: readonly string[];
  readonly cap_drop: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt: readonly string[];
  readonly volumes: readonly string[];
  readonly ports: readonly string[];
  readonly image: string;
  readonly ulimits: { readonly nofile: number };
  readonly healthcheck: { readonly test: readonly string[] };
  readonly deploy: {
    readonly resources: {
      readonly limits: { readonly memory: string; readonly pids: number; readonly cpus: string };
    };
  };
}

export function composeService(): ComposeService {
  const text = readFileSync(join(root, "deploy/compose.yaml"), "utf8");
  return parse(text).services.cliproxy as ComposeService;
}

/** What differs from the compose file in one run. */
export interface RunOptions {
  readonly image: string;
  readonly name: string;
  /** Where the compose file's relative paths are. */
  readonly dir: string;
  /** Instead of the compose file's. */
  readonly memory?: string;
  readonly profile?: string;
  readonly network?: "host" | "none";
  readonly entrypoint?: string;
  /** Further volumes. */
  readonly volumes?: readonly string[];
}

/** The compose file as words for `podman run`: what is tested is what the file says. */
export function runWords(engine: Engine, options: RunOptions): string[] {
  const service = composeService();
  const { limits } = service.deploy.resources;
  const profile = options.profile ?? join(root, "deploy/seccomp.json");
  const volumes = service.volumes.map((volume) => volume.replace(/^\./, options.dir));
  const security = service.security_opt.map((option) =>
    option.startsWith("seccomp:") ? `seccomp=${profile}` : option.replace(/:true$/, ""),
  );
  return [
    ...engine.podman,
    ...["run", "--rm", "--name", options.name, `--network=${options.network ?? "host"}`],
    ...["--user", service.user, "--ulimit", `nofile=${service.ulimits.nofile}`],
    // Without rights over limits of its own the engine can't set its usual one.
    ...["--ulimit", "nproc=4096:4096"],
    ...(service.read_only ? ["--read-only", "--read-only-tmpfs=false"] : []),
    ...service.tmpfs.flatMap((mount) => ["--tmpfs", mount.replace(":", ":rw,")]),
    ...service.cap_drop.flatMap((name) => ["--cap-drop", name]),
    ...(service.cap_add ?? []).flatMap((name) => ["--cap-add", name]),
    ...security.flatMap((option) => ["--security-opt", option]),
    ...[...volumes, ...(options.volumes ?? [])].flatMap((volume) => ["--volume", volume]),
    ...["--memory", options.memory ?? limits.memory, "--pids-limit", String(limits.pids)],
    ...(options.entrypoint === undefined ? [] : ["--entrypoint", options.entrypoint]),
    options.image,
  ];
}
