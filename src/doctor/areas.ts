import type { FindingKind } from "../contract/finding.ts";
import { faultKinds } from "../findings-fault.ts";
import type { Area } from "./area.ts";
import { checklist } from "./check-checklist.ts";
import { config } from "./check-config.ts";
import { container } from "./check-container.ts";
import { exposure } from "./check-exposure.ts";
import { files } from "./check-files.ts";
import { keys } from "./check-keys.ts";
import { limits } from "./check-limits.ts";
import { machine } from "./check-machine.ts";
import { secrets } from "./check-secrets.ts";

/** What the policies look after themselves, such as certificates. */
const policies: Area = {
  name: "policies",
  summary: "what the policies find in what they look after, such as certificates",
  kinds: faultKinds,
  check: ({ config: { found } }) => found,
};

/** All that `doctor` looks at, in the order of its report. */
export const areas: readonly Area[] = [
  ...[config, files, secrets, keys, exposure],
  ...[limits, machine, container, policies, checklist],
];

/** What a finding is about, by its id. */
export interface KnownKind extends FindingKind {
  readonly id: string;
  readonly area: string;
}

/**
 * All kinds of findings there are, in the order of the areas.
 * @param more kinds that policies bring
 */
export function allKinds(
  more: readonly Readonly<Record<string, FindingKind>>[],
): readonly KnownKind[] {
  return areas.flatMap(({ name, kinds }) => {
    const all = name === policies.name ? Object.assign({}, kinds, ...more) : kinds;
    const entries = Object.entries(all as Readonly<Record<string, FindingKind>>);
    return entries.map(([id, kind]) => ({ id, area: name, ...kind }));
  });
}
