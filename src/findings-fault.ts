import type { Finding } from "./contract/finding.ts";
import { finder } from "./kit/finding.ts";

/** What goes wrong when policies are asked for findings. */
export const faultKinds = {
  "policy-findings-fault": {
    severity: "high",
    title: "a policy failed to say what it found",
    why: "What it looks after was not looked at, so nothing is known about it.",
    mend: "report it; `policies.<name>.mode: off` leaves out a policy that is not required",
  },
} as const;

const found = finder(faultKinds);

/** The finding for a policy whose own findings could not be had. */
export function findingsFault(policy: string, error: unknown): Finding {
  const what = error instanceof Error ? error.name : "something else than an error";
  return found("policy-findings-fault", `the policy ${policy} threw ${what}`);
}
