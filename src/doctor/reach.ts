import { dirname } from "node:path";
import type { FileFacts } from "./file-facts.ts";

/**
 * Whom bits of a mode let in, given the directories above.
 * @param bits of the path's own mode: those for the group and for others
 */
export function reachOf(
  { above }: FileFacts,
  path: string,
  bits: number,
): "others" | "group" | "nobody" {
  let others = (bits & 0o007) !== 0;
  let group = (bits & 0o077) !== 0;
  for (let at = dirname(path); ; at = dirname(at)) {
    const mode = above.get(at)?.mode ?? 0o777;
    if ((mode & 0o001) === 0) others = false;
    if ((mode & 0o011) === 0) group = false;
    if (dirname(at) === at) return others ? "others" : group ? "group" : "nobody";
  }
}
