// Written by build.ts from the folders policies/ and plugins/: don't edit.
import { policy as policyAuth } from "../policies/auth.ts";
import { policy as policyHostGuard } from "../policies/host-guard.ts";
import { provider as providerSandbox } from "../plugins/providers/sandbox/index.ts";
import type { Dialect, Provider } from "./contract/plugin.ts";
import type { Policy } from "./contract/policy.ts";

export const policies: readonly Policy[] = [
  policyAuth,
  policyHostGuard,
] as unknown as readonly Policy[];

export const dialects: readonly Dialect[] = [
];

export const providers: readonly Provider[] = [
  providerSandbox,
];
