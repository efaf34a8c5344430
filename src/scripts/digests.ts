import type { SecurityEvent } from "../contract/policy.ts";
import type { House } from "../host.ts";
import type { PlannedPolicy } from "../plan.ts";
import type { ScriptParts } from "./load.ts";

/** Where the process keeps what it told last. */
const keptKey = "scripts\0digests";
const none = "none";

/** Logs the digest of every file that runs now, and tells each policy that differs from before. */
export function tellDigests(
  { kept, log }: Pick<House, "kept" | "log">,
  parts: readonly ScriptParts[],
  emit: (event: SecurityEvent) => void,
): void {
  const before = (kept.get(keptKey) as ReadonlyMap<string, string> | undefined) ?? new Map();
  const now = new Map<string, string>();
  const ours = log.child("policies");
  for (const { name, file, files, sha256 } of parts) {
    if (sha256 === "") continue;
    now.set(name, sha256);
    if (before.get(name) === sha256) continue;
    for (const { path, sha256: digest } of files) {
      ours.info("file of a policy", { policy: name, path, sha256: digest });
    }
    emit(changeOf(name, file, sha256, before.get(name) ?? none));
  }
  for (const [name, sha256] of before) {
    if (!now.has(name)) emit(changeOf(name, "", none, sha256));
  }
  kept.set(keptKey, now);
}

function changeOf(policy: string, file: string, sha256: string, before: string): SecurityEvent {
  const details = { what: "policy", policy, file, sha256, before };
  return { type: "config_change", result: "applied", details };
}

/** Adds to a plan where policies come from, and those that are off. */
export function planScripts(
  planned: readonly PlannedPolicy[],
  parts: readonly ScriptParts[],
): readonly PlannedPolicy[] {
  const loaded = planned.map((one) => {
    const part = parts.find(({ name }) => name === one.name);
    return part === undefined ? one : { ...one, file: part.file, sha256: part.sha256 };
  });
  const off = parts.flatMap(({ name, file, described }): PlannedPolicy[] => {
    if (described !== undefined) return [];
    const unknown = { stage: "-", onFault: "-", surfaces: [], summary: "Off: it is not loaded." };
    return [{ name, mode: "off", file, ...unknown }];
  });
  return [...loaded, ...off];
}
