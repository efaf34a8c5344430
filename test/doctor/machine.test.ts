import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gatherMachine } from "../../src/doctor/machine-facts.ts";
import { systemProbe } from "../../src/doctor/probe.ts";
import { memoryLimit, readLimit, readMounts, readStatus } from "../../src/doctor/proc-files.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir } from "../harness/proxy.ts";

afterAll(cleanUp);

const status = `Name:\tcliproxy
TracerPid:\t0
Uid:\t1000\t65534\t65534\t65534
CapInh:\t0000000000000000
CapPrm:\t0000000000000400
CapEff:\t0000000000000400
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
`;

const limits = [
  "Limit                     Soft Limit           Hard Limit           Units",
  "Max core file size        0                    unlimited            bytes",
  "Max open files            1024                 524288               files",
  "Max address space         unlimited            unlimited            bytes",
]
  // As the kernel pads it.
  .map((line) => `${line}     \n`)
  .join("");

describe("files of the kernel", () => {
  test("status", () => {
    const expected = { uid: 65534, capabilities: [10], noNewPrivileges: true };
    expect(readStatus(status)).toEqual({ ...expected, seccomp: 2, tracer: 0 });
    expect(readStatus(undefined)).toBeUndefined();
  });

  test.each([
    ["Max open files", 1024],
    ["Max core file size", 0],
    ["Max address space", Number.POSITIVE_INFINITY],
    ["Max nothing", undefined],
  ])("limit %s", (name, expected) => {
    expect(readLimit(limits, name)).toBe(expected as number);
  });

  test("mounts: the last on a point counts, read-only file systems too, spaces are escaped", () => {
    const text = [
      "1 0 0:1 / / rw,relatime - overlay overlay rw",
      "2 1 0:2 / /tmp rw,nosuid - tmpfs tmpfs rw",
      "3 1 0:3 / /tmp rw,noexec - tmpfs tmpfs rw",
      "4 1 0:4 /x /a\\040b rw shared:1 - ext4 /dev/x ro,errors=continue",
      "broken",
    ].join("\n");
    expect(readMounts(text)).toEqual([
      { point: "/", type: "overlay", options: ["rw", "relatime"] },
      { point: "/tmp", type: "tmpfs", options: ["rw", "noexec"] },
      { point: "/a b", type: "ext4", options: ["rw", "ro"] },
    ]);
  });

  const cases: readonly (readonly [string, Record<string, string>, number | undefined])[] = [
    ["none", {}, undefined],
    ["version 2, as a container sees it", { "0::/": "", "memory.max": "268435456\n" }, 268435456],
    ["version 2, no limit", { "0::/": "", "memory.max": "max\n" }, undefined],
    ["version 2, the least above", { "0::/a/b": "", "a/memory.max": "9", "memory.max": "10" }, 9],
    [
      "version 1",
      { "4:memory:/docker/x": "", "memory/docker/x/memory.limit_in_bytes": "1073741824" },
      1073741824,
    ],
    [
      "version 1, mounted from above",
      { "4:cpu,memory:/docker/x": "", "memory/memory.limit_in_bytes": "77" },
      77,
    ],
    [
      "version 1, no limit",
      { "4:memory:/": "", "memory/memory.limit_in_bytes": "9223372036854771712" },
      undefined,
    ],
  ];
  test.each(cases)("limit on memory: %s", (_name, files, expected) => {
    const read = (path: string): string | undefined =>
      path === "/proc/self/cgroup"
        ? Object.keys(files).find((key) => /^\d+:/.test(key))
        : files[path.replace("/sys/fs/cgroup/", "")];
    expect(memoryLimit(read)).toBe(expected as number);
  });
});

/** A machine of files below a directory. */
function machineOf(files: Readonly<Record<string, string>>) {
  const root = makeDir();
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return gatherMachine(systemProbe(root), [{ use: "state", path: "/state/none/s.db" }], {});
}

describe("a machine below another root", () => {
  test("nothing there: nothing known, and no failure", () => {
    const { disks, ...rest } = machineOf({});
    const known = Object.entries(rest).filter(([, value]) => value !== undefined);
    expect(Object.fromEntries(known)).toEqual({ mounts: [], hasDockerSocket: false });
    expect(disks).toHaveLength(1);
  });

  test("what is there is read", () => {
    const machine = machineOf({
      "proc/self/status": status,
      "proc/self/limits": limits,
      "proc/swaps": "Filename Type Size\n/dev/sda2 partition 1\n",
      "proc/sys/kernel/yama/ptrace_scope": "0\n",
      "proc/sys/kernel/randomize_va_space": "2\n",
      "run/.containerenv": "",
      "run/systemd/timesync/clock": "",
      "run/docker.sock": "",
    });
    expect(machine).toMatchObject({
      ...{ openFiles: 1024, coreBytes: 0, container: "/run/.containerenv", hasSwap: true },
      ...{ ptraceScope: 0, randomized: 2, isClockSynchronized: false, hasDockerSocket: true },
    });
  });

  test.each([
    ["KUBERNETES_SERVICE_HOST", { KUBERNETES_SERVICE_HOST: "10.0.0.1" }],
    ["the variable `container`", { container: "oci" }],
  ])("a container known by %s", (by, env) => {
    expect(gatherMachine(systemProbe(makeDir()), [], env).container).toBe(by);
  });
});
