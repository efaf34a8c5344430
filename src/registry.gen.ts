// Written by build.ts from the folders policies/ and plugins/: don't edit.
import { policy as policyAudit } from "../policies/audit/index.ts";
import { policy as policyAuth } from "../policies/auth/index.ts";
import { policy as policyConcurrency } from "../policies/concurrency/index.ts";
import { policy as policyCooldown } from "../policies/cooldown/index.ts";
import { policy as policyDetections } from "../policies/detections.ts";
import { policy as policyForwardingWatch } from "../policies/forwarding-watch.ts";
import { policy as policyHostGuard } from "../policies/host-guard.ts";
import { policy as policyIpAllowlist } from "../policies/ip-allowlist.ts";
import { policy as policyIpDenylist } from "../policies/ip-denylist/index.ts";
import { policy as policyKeyLimits } from "../policies/key-limits/index.ts";
import { policy as policyMaintenance } from "../policies/maintenance/index.ts";
import { policy as policyManagementAuth } from "../policies/management-auth.ts";
import { policy as policyMetrics } from "../policies/metrics/index.ts";
import { policy as policyProviderRateLimit } from "../policies/provider-rate-limit.ts";
import { policy as policyQuota } from "../policies/quota.ts";
import { policy as policyRateLimitClient } from "../policies/rate-limit-client.ts";
import { policy as policyRateLimitServer } from "../policies/rate-limit-server.ts";
import { policy as policyRequestLimits } from "../policies/request-limits.ts";
import { policy as policySecurityHeaders } from "../policies/security-headers.ts";
import { policy as policyTls } from "../policies/tls/index.ts";
import { policy as policyUsage } from "../policies/usage/index.ts";
import { policy as policyVault } from "../policies/vault/index.ts";
import { dialect as dialectAnthropicMessages } from "../plugins/dialects/anthropic-messages/index.ts";
import { dialect as dialectGemini } from "../plugins/dialects/gemini/index.ts";
import { dialect as dialectOpenaiChat } from "../plugins/dialects/openai-chat/index.ts";
import { dialect as dialectOpenaiResponses } from "../plugins/dialects/openai-responses/index.ts";
import { provider as providerClaude } from "../plugins/providers/claude.ts";
import { provider as providerGemini } from "../plugins/providers/gemini.ts";
import { provider as providerOpenaiCompatible } from "../plugins/providers/openai-compatible.ts";
import { provider as providerOpenai } from "../plugins/providers/openai.ts";
import { provider as providerSandbox } from "../plugins/providers/sandbox/index.ts";
import { store as storeMemory } from "../plugins/stores/memory.ts";
import { store as storeSqlite } from "../plugins/stores/sqlite/index.ts";
import type { Dialect, Provider } from "./contract/plugin.ts";
import type { Policy } from "./contract/policy.ts";
import type { StoreKind } from "./contract/store.ts";

export const policies: readonly Policy[] = [
  policyAudit,
  policyAuth,
  policyConcurrency,
  policyCooldown,
  policyDetections,
  policyForwardingWatch,
  policyHostGuard,
  policyIpAllowlist,
  policyIpDenylist,
  policyKeyLimits,
  policyMaintenance,
  policyManagementAuth,
  policyMetrics,
  policyProviderRateLimit,
  policyQuota,
  policyRateLimitClient,
  policyRateLimitServer,
  policyRequestLimits,
  policySecurityHeaders,
  policyTls,
  policyUsage,
  policyVault,
] as unknown as readonly Policy[];

export const dialects: readonly Dialect[] = [
  dialectAnthropicMessages,
  dialectGemini,
  dialectOpenaiChat,
  dialectOpenaiResponses,
];

export const providers: readonly Provider[] = [
  providerClaude,
  providerGemini,
  providerOpenaiCompatible,
  providerOpenai,
  providerSandbox,
];

export const stores: readonly StoreKind[] = [
  storeMemory,
  storeSqlite,
];
