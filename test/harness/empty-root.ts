import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "./cleanup.ts";

/** A root directory that holds an executable, the folders it is given, and nothing else. */
export interface EmptyRoot {
  readonly dir: string;
  /** Words that run it in there, as nobody, with everything but the folders read-only. */
  readonly wrap: readonly string[];
}

const folders = ["proc", "tmp", "auths", "state", "config"];

/**
 * Makes such a root; needs to be root, as who runs containers does.
 * @param program copied to `/cliproxy`
 * @param interpreter of another processor's programs, copied beside it
 */
export function makeEmptyRoot(program: string, interpreter?: string): EmptyRoot {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-root-"));
  onCleanup(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  for (const folder of folders) mkdirSync(join(dir, folder));
  copyFileSync(program, join(dir, "cliproxy"));
  if (interpreter !== undefined) copyFileSync(interpreter, join(dir, "interpreter"));
  const first = interpreter === undefined ? "" : "/interpreter ";
  const script = [
    // The word in front of the arguments is the program that the harness would have run.
    "shift",
    `mount --bind ${dir} ${dir}`,
    `mount -t proc proc ${dir}/proc`,
    ...["tmp", "auths", "state"].map(
      (folder) => `mount -t tmpfs -o noexec,nosuid,mode=700,uid=65534 tmpfs ${dir}/${folder}`,
    ),
    `mount -o remount,bind,ro ${dir}`,
    `exec chroot --userspec=65534:65534 --groups= ${dir} ${first}/cliproxy "$@"`,
  ].join(" && ");
  return { dir, wrap: ["unshare", "-m", "sh", "-c", script, "sh"] };
}
