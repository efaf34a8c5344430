import { expect } from "bun:test";
import { normal } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";
import { admitted, askModel, statusFrom, stranger } from "./asking.ts";
import type { KeyProof } from "./prove.ts";

const byAddress = "server.security.rate_limiting";

const requestRates: readonly KeyProof[] = [
  {
    block: "rate by address",
    key: `${byAddress}.enabled`,
    without: false,
    prove: async (proxy) => expect(await admitted(proxy, 40)).toBeLessThan(40),
  },
  {
    block: "rate by address",
    key: `${byAddress}.requests_per_second`,
    without: 0.01,
    async prove(proxy) {
      await admitted(proxy, 40);
      // At 10 a second there is a place again within a tenth of one.
      await until("a place", async () => (await statusFrom(proxy, "203.0.113.1")) === 200, 2000);
    },
  },
  {
    block: "rate by address",
    key: `${byAddress}.burst`,
    without: 5,
    async prove(proxy) {
      const count = await admitted(proxy, 40);
      expect(count).toBeGreaterThanOrEqual(20);
      expect(count).toBeLessThan(40);
    },
  },
  {
    block: "rate by address",
    key: `${byAddress}.per_ip`,
    without: false,
    also: { [`${byAddress}.per_user`]: true, [`${byAddress}.requests_per_second`]: 0.01 },
    async prove(proxy) {
      await admitted(proxy, 40, "203.0.113.1");
      expect(await statusFrom(proxy, "203.0.113.2")).toBe(200);
    },
  },
  {
    block: "rate of the whole server",
    key: "server.rate_limit.enabled",
    without: false,
    prove: async (proxy) => expect(await admitted(proxy, 400)).toBeLessThan(400),
  },
  {
    block: "rate of the whole server",
    key: "server.rate_limit.requests_per_second",
    without: 0.01,
    async prove(proxy) {
      await admitted(proxy, 400);
      await until("a place", async () => (await statusFrom(proxy, stranger)) === 200, 2000);
    },
  },
  {
    block: "rate of the whole server",
    key: "server.rate_limit.burst",
    without: 20,
    prove: async (proxy) => expect(await admitted(proxy, 250)).toBeGreaterThanOrEqual(200),
  },
];

const paths = { claude: "/v1/messages", openai: "/v1/chat/completions" } as const;

/** At once, so many requests to a provider get through, and more only as time goes by. */
function requestsProof(provider: keyof typeof paths, limit: number): KeyProof {
  return {
    block: "rate of a provider",
    key: `providers.${provider}.rate_limit.requests_per_minute`,
    async prove(proxy) {
      // A busy machine takes some seconds for them, which let a few more in.
      const calls = limit * 1.5;
      const asked = await Promise.all(
        Array.from({ length: calls }, () => askModel(proxy, paths[provider], `${provider}/r`)),
      );
      const passed = asked.filter(({ status }) => status === 200).length;
      expect(passed).toBeGreaterThanOrEqual(limit);
      expect(passed).toBeLessThan(calls);
      const refused = asked.find(({ status }) => status === 429);
      const policy = `"provider-requests";q=${limit};w=60`;
      expect(refused?.headers.get("ratelimit-policy")).toContain(policy);
      expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    },
  };
}

/** What a reply has cost is gone: the next request finds too little. */
function tokensProof(provider: keyof typeof paths, limit: number): KeyProof {
  return {
    block: "rate of a provider",
    key: `providers.${provider}.rate_limit.tokens_per_minute`,
    async prove(proxy, upstream) {
      const model = `t-${provider}`;
      upstream.on(model, normal({ inputTokens: 0, outputTokens: limit }));
      const ask = (tokens: number) =>
        askModel(proxy, paths[provider], `${provider}/${model}`, tokens);
      expect((await ask(5)).status).toBe(200);
      const refused = await ask(limit / 2);
      expect(refused.status).toBe(429);
      const policy = `"provider-tokens";q=${limit};w=60`;
      expect(refused.headers.get("ratelimit-policy")).toContain(policy);
    },
  };
}

/** Seconds until the month ends in UTC. */
function leftOfMonth(): number {
  const now = new Date();
  return (Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1) - now.getTime()) / 1000;
}

const quotas: readonly KeyProof[] = [
  {
    block: "quota",
    key: "providers.claude.quota.limit",
    without: 2_000_000,
    async prove(proxy, upstream) {
      upstream.on("q-limit", normal({ inputTokens: 400_000, outputTokens: 599_000 }));
      const ask = (tokens: number) =>
        askModel(proxy, paths.claude, "claude/q-limit", tokens).then(({ status }) => status);
      expect(await ask(5)).toBe(200);
      // 1000 are left.
      expect(await ask(1100)).toBe(429);
      expect(await ask(500)).toBe(200);
      expect(await ask(5)).toBe(429);
    },
  },
  {
    block: "quota",
    key: "providers.claude.quota.reset",
    // The last hour of a month ends with it.
    without: leftOfMonth() < 7200 ? "weekly" : "hourly",
    async prove(proxy, upstream) {
      upstream.on("q-reset", normal({ inputTokens: 500_000, outputTokens: 500_000 }));
      expect((await askModel(proxy, paths.claude, "claude/q-reset")).status).toBe(200);
      const refused = await askModel(proxy, paths.claude, "claude/q-reset");
      expect(refused.status).toBe(429);
      const retryAfter = Number(refused.headers.get("retry-after"));
      expect(Math.abs(retryAfter - leftOfMonth())).toBeLessThan(60);
    },
  },
];

export const limitProofs: readonly KeyProof[] = [
  ...requestRates,
  requestsProof("claude", 100),
  tokensProof("claude", 100_000),
  requestsProof("openai", 500),
  tokensProof("openai", 200_000),
  ...quotas,
];
