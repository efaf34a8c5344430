/** What the kernel says of this process in `/proc/self/status`. */
export interface Status {
  readonly uid: number;
  /** Numbers of the capabilities that it has or may take. */
  readonly capabilities: readonly number[];
  readonly noNewPrivileges: boolean;
  /** 0: none; 1: strict; 2: a filter. */
  readonly seccomp: number;
  /** 0: nobody traces it. */
  readonly tracer: number;
}

/** A line of `/proc/self/mountinfo`. */
export interface Mount {
  readonly point: string;
  readonly type: string;
  /** Of the mount and of its file system: `rw`, `noexec`, … */
  readonly options: readonly string[];
}

type Read = (path: string) => string | undefined;

/** Reads `/proc/self/status`. */
export function readStatus(text: string | undefined): Status | undefined {
  if (text === undefined) return undefined;
  const field = (name: string): string =>
    new RegExp(`^${name}:\\s*(\\S+)(?:\\s+(\\S+))?`, "m").exec(text)?.[1] ?? "0";
  const effectiveUid = /^Uid:\s*\d+\s+(\d+)/m.exec(text)?.[1];
  const mask = ["CapPrm", "CapEff", "CapAmb"]
    .map((name) => BigInt(`0x${field(name)}`))
    .reduce((all, one) => all | one, 0n);
  return {
    uid: Number(effectiveUid ?? 0),
    capabilities: Array.from({ length: 64 }, (_, i) => i).filter((i) => (mask >> BigInt(i)) & 1n),
    noNewPrivileges: field("NoNewPrivs") === "1",
    seccomp: Number(field("Seccomp")),
    tracer: Number(field("TracerPid")),
  };
}

/** The soft limit of a name in `/proc/self/limits`. */
export function readLimit(text: string | undefined, name: string): number | undefined {
  const line = text?.split("\n").find((one) => one.startsWith(name));
  const soft = line?.slice(name.length).trim().split(/\s+/)[0];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

/** Reads `/proc/self/mountinfo`; of mounts on the same point the last one counts. */
export function readMounts(text: string | undefined): readonly Mount[] {
  const mounts = new Map<string, Mount>();
  for (const line of text?.split("\n") ?? []) {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , , point, own = ""] = before.split(" ");
    const [type = "", , whole = ""] = after.split(" ");
    if (point === undefined || type === "") continue;
    // Octal escapes stand for spaces and the like.
    const plain = point.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const options = [...own.split(","), ...whole.split(",").filter((o) => o === "ro")];
    mounts.set(plain, { point: plain, type, options });
  }
  return [...mounts.values()];
}

/** The mount that a path is on. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  const above = mounts.filter(
    ({ point }) => point === "/" || path === point || path.startsWith(`${point}/`),
  );
  return above.sort((a, b) => b.point.length - a.point.length)[0];
}

/** So much is no limit: the kernel writes its largest number. */
const unlimitedBytes = 2 ** 60;

/** The least limit on memory of the groups of the process, and of those above them. */
export function memoryLimit(read: Read): number | undefined {
  const lines = read("/proc/self/cgroup")?.split("\n") ?? [];
  const limits = lines.flatMap((line) => {
    const [, controllers = "", path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === "") {
      return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].flatMap((root) =>
        upwards(root, path, "memory.max"),
      );
    }
    if (!controllers.split(",").includes("memory")) return [];
    return upwards("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
  });
  const found = limits
    .map((path) => Number(read(path)?.trim() || Number.NaN))
    .filter((bytes) => bytes > 0 && bytes < unlimitedBytes);
  return found.length === 0 ? undefined : Math.min(...found);
}

/** A file in a group and in all above it: in a container only the uppermost may be seen. */
function upwards(root: string, path: string, file: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, n) =>
    [root, ...parts.slice(0, parts.length - n), file].join("/"),
  );
}

/** By what a container is known; undefined: nothing says that this is one. */
export function inContainer(
  has: (path: string) => boolean,
  read: Read,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const file = ["/.dockerenv", "/run/.containerenv"].find(has);
  if (file !== undefined) return file;
  if (env.KUBERNETES_SERVICE_HOST !== undefined) return "KUBERNETES_SERVICE_HOST";
  if (env.container !== undefined && env.container !== "") return "the variable `container`";
  const group = read("/proc/self/cgroup") ?? "";
  return /\/(?:docker|kubepods|libpod|containerd|lxc)\b/.test(group)
    ? "/proc/self/cgroup"
    : undefined;
}
