// Written by build.ts from the folders policies/ and plugins/: don't edit.
import { policy as policyAuth } from "../policies/auth.ts";
import { policy as policyHostGuard } from "../policies/host-guard.ts";
import { policy as policyManagementAuth } from "../policies/management-auth.ts";
import { dialect as dialectAnthropicMessages } from "../plugins/dialects/anthropic-messages.ts";
import { dialect as dialectGemini } from "../plugins/dialects/gemini/index.ts";
import { dialect as dialectOpenaiChat } from "../plugins/dialects/openai-chat.ts";
import { dialect as dialectOpenaiResponses } from "../plugins/dialects/openai-responses.ts";
import { provider as providerClaude } from "../plugins/providers/claude.ts";
import { provider as providerGemini } from "../plugins/providers/gemini.ts";
import { provider as providerOpenaiCompatible } from "../plugins/providers/openai-compatible.ts";
import { provider as providerOpenai } from "../plugins/providers/openai.ts";
import { provider as providerSandbox } from "../plugins/providers/sandbox/index.ts";
import type { Dialect, Provider } from "./contract/plugin.ts";
import type { Policy } from "./contract/policy.ts";

export const policies: readonly Policy[] = [
  policyAuth,
  policyHostGuard,
  policyManagementAuth,
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
