import type * as v from "valibot";
import type { AdminCall, AdminHandler, AdminReply } from "../../src/contract/admin.ts";
import type { Deny, PolicyHost } from "../../src/contract/policy.ts";
import { formatTime } from "../../src/kit/timestamp.ts";
import type { Cooling, Scope } from "./board.ts";
import type { Keeper } from "./keeper.ts";
import type { wantedCooldown, wantedRecovery } from "./operations.ts";
import type { ProviderStats } from "./stats.ts";

/** What the operations work on. */
export interface Parts {
  readonly keeper: Keeper;
  readonly stats: ProviderStats;
  readonly host: PolicyHost;
}

export function handlersOf(parts: Parts): Readonly<Record<string, AdminHandler>> {
  return {
    listProviders: () => list(parts),
    coolProvider: (call) => cool(call, parts),
    recoverProvider: (call) => recover(call, parts),
  };
}

/** Gauges that tell of a provider's limits: the label that names which, and what goes before it. */
const limitGauges: Readonly<Record<string, { readonly label: string; readonly prefix: string }>> = {
  cliproxy_provider_limit_remaining: { label: "limit", prefix: "left of " },
  cliproxy_provider_quota_tokens: { label: "state", prefix: "quota " },
};

function list({ keeper, stats, host }: Parts): AdminReply {
  const nowMs = host.clock.now();
  const entries = keeper.list().filter(({ untilMs }) => untilMs > nowMs);
  const limits = readLimits(host);
  const providers = host.facts.providers.map((name) => {
    const own = entries.filter(({ provider }) => provider === name);
    const isWhole = own.some(({ credential, model }) => (credential ?? model) === undefined);
    return {
      name,
      state: isWhole ? "cooling" : own.length > 0 ? "degraded" : "ok",
      cooldowns: own.map((entry) => show(entry, nowMs)),
      credentials: stats.of(name).map(({ credential, ok, failed, lastStatus, latencyMs }) => ({
        id: credential,
        ok,
        failed,
        last_status: lastStatus,
        latency_ms: latencyMs === undefined ? null : Math.round(latencyMs * 10) / 10,
      })),
      limits: limits
        .filter(({ provider }) => provider === name)
        .map(({ what, amount }) => ({ what, amount })),
    };
  });
  return { body: { providers } };
}

function readLimits(host: PolicyHost) {
  const limits: { provider: string; what: string; amount: number }[] = [];
  for (const { name, labels, read } of host.gauges()) {
    const known = limitGauges[name];
    if (known === undefined) continue;
    const [whose, which] = [labels.indexOf("provider"), labels.indexOf(known.label)];
    read((amount, ...values) => {
      const what = known.prefix + (values[which] ?? "");
      limits.push({ provider: values[whose] ?? "", what, amount });
    });
  }
  return limits;
}

async function cool(call: AdminCall, { keeper, host }: Parts): Promise<AdminReply | Deny> {
  const { for: forMs, ...rest } = call.body as v.InferOutput<typeof wantedCooldown>;
  const scope = toScope(call, rest, host);
  if ("deny" in scope) return scope;
  const nowMs = host.clock.now();
  const before = keeper.list().filter(({ provider }) => provider === scope.provider);
  const entry = { ...scope, reason: "operator", untilMs: nowMs + forMs, step: 1 } as const;
  await keeper.replace(entry);
  return {
    body: show(entry, nowMs),
    change: { what: `cooldown of ${scope.provider}`, before, after: entry },
  };
}

async function recover(call: AdminCall, { keeper, host }: Parts): Promise<AdminReply | Deny> {
  const scope = toScope(call, call.body as v.InferOutput<typeof wantedRecovery>, host);
  if ("deny" in scope) return scope;
  const nowMs = host.clock.now();
  const ended = await keeper.recover(scope);
  return {
    body: { ended: ended.map((entry) => show(entry, nowMs)) },
    change: { what: `cooldown of ${scope.provider}`, before: ended, after: [] },
  };
}

function toScope(
  { params }: AdminCall,
  { credential, model }: { credential?: string | undefined; model?: string | undefined },
  { facts }: PolicyHost,
): Scope | Deny {
  const { provider = "" } = params;
  if (!facts.providers.includes(provider)) {
    const known = facts.providers.join(", ");
    return { deny: "not_found", message: `There is no such provider. There are: ${known}.` };
  }
  if (model !== undefined && credential === undefined) {
    return {
      deny: "unprocessable",
      message: "`model` needs the `credential` that it is left alone with: GET /providers has ids.",
    };
  }
  return { provider, credential, model };
}

function show({ credential, model, reason, untilMs }: Cooling, nowMs: number) {
  return {
    credential: credential ?? null,
    model: model ?? null,
    reason,
    until: formatTime(untilMs),
    retry_after: Math.max(0, Math.ceil((untilMs - nowMs) / 1000)),
  };
}
