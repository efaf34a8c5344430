import type { Finding } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import type { Area } from "./area.ts";
import type { Facts } from "./facts.ts";
import { type Mount, mountOf } from "./proc-files.ts";

const kinds = {
  "container-root": {
    severity: "high",
    title: "the proxy runs as root",
    why: "A flaw in it is then a flaw of the whole machine, or of all that the container may do.",
    mend: 'run it as a user of its own: `user: "65534:65534"` in compose, User= in systemd',
  },
  "container-capabilities": {
    severity: "medium",
    title: "the process has capabilities that it does not need",
    why: "Each lets it do something that only root may; a flaw in it can do the same.",
    mend: "`cap_drop: [ALL]` in compose, CapabilityBoundingSet= in systemd",
  },
  "container-new-privileges": {
    severity: "medium",
    title: "the process may gain privileges",
    why: "A set-uid program that it starts, or is made to start, runs as root.",
    mend: "`security_opt: [no-new-privileges:true]` in compose, NoNewPrivileges=yes in systemd",
  },
  "container-seccomp": {
    severity: "medium",
    title: "no filter of system calls is on",
    why: "Every call of the kernel is open to a flaw in the process.",
    mend: "remove seccomp=unconfined, or use a profile; SystemCallFilter= in systemd",
  },
  "container-writable-root": {
    severity: "medium",
    title: "the file system of the container can be written",
    why: "An attacker in the process can change programs, and what they leave behind stays.",
    mend: "`read_only: true` in compose, readOnlyRootFilesystem in Kubernetes",
  },
  "container-tmp-exec": {
    severity: "low",
    title: "programs may run from /tmp",
    why: "The one place that can be written is where an attacker puts a program.",
    mend: "`tmpfs: [/tmp:noexec,nosuid,size=100m]` in compose",
  },
  "container-writable-mount": {
    severity: "low",
    title: "a mount can be written that need not be",
    why: "The proxy writes to its credentials, its state and its logs, and to nothing else.",
    mend: "mount it with :ro",
  },
  "container-docker-socket": {
    severity: "critical",
    title: "the socket of Docker is in reach",
    why: "Whoever may write to it is root on the host.",
    mend: "do not mount it",
  },
  "container-memory-unlimited": {
    severity: "low",
    title: "the container has no limit on memory",
    why: "It can take all memory of the host, and others with it.",
    mend: "`memory: 1G` below deploy.resources.limits in compose",
  },
} as const;
const found = finder(kinds);

/** What a flaw in the process could do. */
export const container: Area = {
  name: "container",
  summary: "user, capabilities, seccomp, mounts of the process and its container",
  kinds,
  check: (facts) => [...privileges(facts), ...mounted(facts)],
};

/** To bind a port below 1024; the guide gives it. */
const netBindService = 10;
/** Capabilities that are as good as root, by number. */
const strong: Readonly<Record<number, string>> = {
  0: "CHOWN",
  1: "DAC_OVERRIDE",
  2: "DAC_READ_SEARCH",
  6: "SETGID",
  7: "SETUID",
  12: "NET_ADMIN",
  13: "NET_RAW",
  16: "SYS_MODULE",
  17: "SYS_RAWIO",
  19: "SYS_PTRACE",
  21: "SYS_ADMIN",
  39: "BPF",
};

function privileges({ machine: { status, container: by } }: Facts): Finding[] {
  if (status === undefined) return [];
  const list: Finding[] = [];
  const where = by === undefined ? "" : `, in a container (by ${by})`;
  if (status.uid === 0) list.push(found("container-root", `uid 0${where}`));
  const more = status.capabilities.filter((number) => number !== netBindService);
  // Root outside of a container has them all: that was said.
  if (more.length > 0 && (status.uid !== 0 || by !== undefined)) {
    const names = more.map((number) => strong[number]).filter((name) => name !== undefined);
    const isPrivileged = names.includes("SYS_ADMIN");
    const evidence = `${more.length} capabilities${names.length > 0 ? `: ${names.join(", ")}` : ""}`;
    const severity = isPrivileged ? "high" : "medium";
    list.push(found("container-capabilities", evidence, { severity }));
  }
  if (!status.noNewPrivileges) {
    list.push(found("container-new-privileges", "NoNewPrivs is 0 in /proc/self/status"));
  }
  if (status.seccomp === 0) {
    // Docker and Kubernetes have a filter unless it was turned off; a plain host has none.
    const severity = by === undefined ? "low" : "medium";
    list.push(found("container-seccomp", "Seccomp is 0 in /proc/self/status", { severity }));
  }
  return list;
}

/** The kernel's own, and those that every container has. */
const ownTypes = new Set(
  "proc sysfs cgroup cgroup2 devpts devtmpfs mqueue securityfs debugfs tracefs bpf pstore".split(
    " ",
  ),
);
const ownPoints = /^\/(?:dev|proc|sys|run|etc\/(?:hosts|hostname|resolv\.conf))(?:\/|$)/;

function mounted({ machine: m }: Facts): Finding[] {
  const list: Finding[] = [];
  if (m.hasDockerSocket && m.container !== undefined) {
    list.push(found("container-docker-socket", "/var/run/docker.sock"));
  }
  if (m.container === undefined) return list;
  if (m.memoryLimitBytes === undefined) list.push(found("container-memory-unlimited", "no limit"));
  const root = mountOf(m.mounts, "/");
  if (root !== undefined && isWritable(root)) {
    list.push(found("container-writable-root", `/ is ${root.type}, ${root.options.join(",")}`));
  }
  const tmp = mountOf(m.mounts, "/tmp");
  if (tmp !== undefined && isWritable(tmp) && !tmp.options.includes("noexec")) {
    list.push(found("container-tmp-exec", `${tmp.point} is ${tmp.type}, ${tmp.options.join(",")}`));
  }
  const written = m.disks.map(({ path }) => mountOf(m.mounts, path)?.point);
  const odd = m.mounts.filter(
    (mount) =>
      isWritable(mount) &&
      !ownTypes.has(mount.type) &&
      !ownPoints.test(mount.point) &&
      mount.point !== "/" &&
      mount.point !== "/tmp" &&
      !written.includes(mount.point),
  );
  return [...list, ...odd.map(({ point }) => found("container-writable-mount", point))];
}

function isWritable({ options }: Mount): boolean {
  return !options.includes("ro");
}
