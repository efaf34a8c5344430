import { expect } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { type Box, nobody } from "./box.ts";

/** A promise of the guide or of the compose file, and what shows that it holds. */
export interface Row {
  readonly setting: string;
  /** Throws unless it holds; returns what was seen, in a few words. */
  prove(box: Box): Promise<string> | string;
}

function field(box: Box, name: string): string {
  return new RegExp(`^${name}:\\s+(.*)$`, "m").exec(box.proc("status"))?.[1] ?? "";
}

function mountOf(box: Box, path: string): string {
  const line = box
    .proc("mountinfo")
    .split("\n")
    .find((one) => one.split(" ")[4] === path);
  if (line === undefined) throw new Error(`nothing is mounted on ${path}`);
  const parts = line.split(" ");
  return `${parts[5]} ${parts.at(-1)}`;
}

/** How the process runs, seen from outside. */
export const settingRows: readonly Row[] = [
  {
    setting: "`read_only: true`",
    prove(box) {
      const root = mountOf(box, "/");
      expect(root).toMatch(/^ro,/);
      return `the root is mounted \`${root.split(",")[0]}\``;
    },
  },
  {
    setting: "`tmpfs: /tmp:noexec,nosuid,size=100m`",
    prove(box) {
      const mount = mountOf(box, "/tmp");
      for (const flag of ["noexec", "nosuid", "nodev"]) expect(mount).toContain(flag);
      expect(mount).toContain("size=102400k");
      return `\`${mount}\``;
    },
  },
  {
    setting: "`cap_drop: ALL`",
    prove(box) {
      const sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
      for (const set of sets) expect(field(box, set)).toBe("0".repeat(16));
      return `${sets.join(", ")} are 0`;
    },
  },
  {
    setting: "`no-new-privileges`",
    prove(box) {
      expect(field(box, "NoNewPrivs")).toBe("1");
      return "NoNewPrivs is 1";
    },
  },
  {
    setting: '`user: "65534:65534"`',
    prove(box) {
      for (const name of ["Uid", "Gid"]) {
        expect(field(box, name).split(/\s+/)).toEqual(Array(4).fill(String(nobody)));
      }
      return "all four user and group ids are 65534";
    },
  },
  {
    setting: "`seccomp:./seccomp.json`",
    prove(box) {
      expect(field(box, "Seccomp")).toBe("2");
      return "Seccomp is 2, a filter";
    },
  },
  {
    setting: "`memory` limit",
    prove(box) {
      const limit = box.cgroup("memory", "memory.limit_in_bytes", "memory.max");
      expect(Number(limit)).toBe(box.memoryBytes);
      return `the kernel's limit is ${limit} bytes`;
    },
  },
  {
    setting: "`pids: 100`",
    prove(box) {
      const limit = box.cgroup("pids", "pids.max", "pids.max");
      expect(limit).toBe("100");
      const used = box.cgroup("pids", "pids.current", "pids.current");
      return `the kernel's limit is ${limit}; ${used} are in use`;
    },
  },
  {
    setting: "no shell, no tools",
    prove(box) {
      for (const tool of ["/bin/sh", "/bin/ls", "/usr/bin/env"]) {
        expect(box.exec(tool).status).not.toBe(0);
      }
      return "`/bin/sh`, `/bin/ls` and `/usr/bin/env` can't be run: they are not there";
    },
  },
  {
    setting: "`HEALTHCHECK`",
    prove(box) {
      const asked = box.exec("/cliproxy", "healthcheck", "--url", box.proxy.url);
      expect(asked).toMatchObject({ status: 0 });
      return `\`${asked.text.trim().replace(/\d{4,}/, "PORT")}\`, exit code 0`;
    },
  },
  {
    setting: "`chmod 700 auths/`, `chmod 600`",
    prove(box) {
      expect(statSync(join(box.dir, "auths")).mode & 0o777).toBe(0o700);
      const key = statSync(join(box.dir, "auths/audit.key"));
      expect([key.mode & 0o777, key.uid]).toEqual([0o600, nobody]);
      return "the key that it made in /auths is 0600, owned by 65534";
    },
  },
];
