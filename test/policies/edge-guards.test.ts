import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { policy as watch } from "../../policies/forwarding-watch.ts";
import { policy as limits } from "../../policies/request-limits.ts";
import { createFindClient } from "../../src/client-address.ts";
import type { Call, Deny } from "../../src/contract/policy.ts";
import { readRange } from "../../src/kit/ip-range.ts";
import { createIpSet } from "../../src/kit/ip-set.ts";
import { enabled, exchange, hooksFor, told } from "../harness/policies.ts";
import { createStubHost } from "../harness/stubs.ts";

describe("forwarding-watch", () => {
  const headers = ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"];
  test.each(headers)("tells of %s from a stranger, and lets it pass", async (name) => {
    const host = createStubHost();
    const hooks = await enabled(watch, {}, host);
    const x = exchange({ peer: "203.0.113.5", headers: { [name]: "10.0.0.1" } });
    expect(hooks.request?.(x)).toBe("pass");
    expect(host.events).toMatchObject([
      {
        type: "suspicious_activity",
        result: "forged_forwarding_header",
        ip: "203.0.113.5",
        details: { header: name },
      },
    ]);
    // What it claimed is an attacker's text.
    expect(JSON.stringify(host.events)).not.toContain("10.0.0.1");
  });

  test("is silent about requests without, and about trusted proxies", async () => {
    const host = createStubHost();
    const hooks = await enabled(watch, {}, host);
    hooks.request?.(exchange({ peer: "203.0.113.5" }));
    const read = readRange("10.0.0.1");
    const trusted = createIpSet("range" in read ? [read.range] : []);
    const findClient = createFindClient(trusted, "x-forwarded-for");
    const forwarded = { "x-forwarded-for": "203.0.113.5", "x-real-ip": "203.0.113.5" };
    hooks.request?.(exchange({ peer: "10.0.0.1", headers: forwarded, findClient }));
    expect(host.events).toEqual([]);
  });

  test("tells of each address once a minute, through reloads", async () => {
    const host = createStubHost();
    const send = async (peer: string) => {
      const hooks = await enabled(watch, {}, host);
      hooks.request?.(exchange({ peer, headers: { forwarded: "for=1.2.3.4" } }));
    };
    for (let i = 0; i < 5; i++) await send("203.0.113.5");
    await send("203.0.113.6");
    expect(host.events).toHaveLength(2);
    host.clock.advance(60_000);
    await send("203.0.113.5");
    expect(host.events).toHaveLength(3);
  });

  test("a flood of addresses is told of as one", async () => {
    const host = createStubHost();
    const hooks = await enabled(watch, {}, host);
    for (let i = 0; i < 20_000; i++) {
      const peer = `10.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}`;
      hooks.request?.(exchange({ peer, headers: { forwarded: "for=1.2.3.4" } }));
    }
    expect(host.events.length).toBe(10_001);
  });
});

describe("request-limits", () => {
  const call = (maxTokens: number | undefined): Call => ({
    ...{ model: "m", stream: false, bodyBytes: 9, inputTokens: () => 2, texts: () => [] },
    maxTokens,
  });
  const cases: readonly (readonly [asked: number | undefined, expected: string])[] = [
    [undefined, "pass"],
    [0, "pass"],
    [1, "pass"],
    [1000, "pass"],
    [1001, "too_many_tokens"],
    [1e18, "too_many_tokens"],
  ];
  test.each(cases)("%p of 1000: %s", async (asked, expected) => {
    const hooks = await enabled(limits, { maxOutputTokens: 1000 });
    const verdict = hooks.call?.(exchange(), call(asked));
    expect(told(verdict)).toBe(expected);
  });

  test("its refusal names both numbers and the key", async () => {
    const hooks = await enabled(limits, { maxOutputTokens: 1000 });
    const refusal = hooks.call?.(exchange(), call(4096));
    const { message } = refusal as unknown as Deny;
    for (const words of ["4096", "1000", "server.limits.max_output_tokens"]) {
      expect(message).toContain(words);
    }
  });

  test("off unless it is set, and only to a whole number", async () => {
    expect(await hooksFor(limits, {})).toBeUndefined();
    for (const maxOutputTokens of [0, -1, 1.5, "9", Number.POSITIVE_INFINITY]) {
      expect(v.safeParse(limits.config.schema, { maxOutputTokens }).success).toBe(false);
    }
  });
});
