import { describe, expect, test } from "bun:test";
import { toClientHeaders, toUpstreamHeaders, toUpstreamQuery } from "../src/headers.ts";
import { createStubHouse, startExchange } from "./harness/stubs.ts";

describe("toUpstreamHeaders", () => {
  const always = { "content-type": "application/json", "accept-encoding": "identity" };
  type Case = readonly [
    name: string,
    sent: Record<string, string>,
    expected: Record<string, string>,
  ];
  const pass: readonly (readonly [name: string, value: string])[] = [
    ["anthropic-beta", "a,b,c"],
    ["anthropic-version", "2026-10-21"],
    ["openai-beta", "assistants=v2"],
    ["openai-organization", "org"],
    ["x-request-id", "r-1"],
    ["x-client-request-id", "r-2"],
    ["traceparent", "00-1-2-01"],
    ["user-agent", "sdk/1"],
    ["x-stainless-retry-count", "2"],
    ["x-app", "cli"],
    ["accept", "text/event-stream"],
    ["idempotency-key", "k"],
    ["x-session-affinity", "s"],
    ["priority", "u=1"],
    ["x-goog-api-client", "google-genai-sdk/3.3.0 gl-node/v20"],
    ["x-goog-request-params", "model=models%2Fm"],
  ];
  const stop: readonly string[] = [
    ...["keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"],
    ...["content-length", "content-encoding", "http2-settings", "proxy-connection"],
    ...["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-management-key"],
    ...["proxy-authorization", "cookie", "cookie2", "origin", "referer", "forwarded", "via"],
    ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-client-ip"],
    ...["true-client-ip", "cf-connecting-ip", "cf-ray", "x-cluster-client-ip", "fastly-client-ip"],
    ...["client-ip", "x-original-forwarded-for", "x-envoy-external-address"],
    ...["x-goog-fieldmask", "x-goog-user-project"],
    ...["x-http-method-override", "x-http-method", "x-method-override"],
    ...["sec-fetch-site", "sec-ch-ua", "x-cliproxy-anything"],
  ];
  const cases: readonly Case[] = [
    ["nothing", {}, always],
    ...pass.map(
      ([name, value]): Case => [`passes ${name}`, { [name]: value }, { ...always, [name]: value }],
    ),
    ...stop.map((name): Case => [`stops ${name}`, { [name]: "x" }, always]),
    ["not its content-type: the body was read as JSON", { "content-type": "text/plain" }, always],
    ["accept-encoding is ours", { "accept-encoding": "gzip, br" }, always],
    ["any case", { "X-API-Key": "x", COOKIE: "x", "X-Forwarded-FOR": "x" }, always],
    [
      "near misses pass",
      { "x-forwardedfor": "1", scope: "2" },
      { ...always, "x-forwardedfor": "1", scope: "2" },
    ],
    [
      "what Connection names is for this hop",
      { connection: "close, X-Secret , x-other", "x-secret": "1", "x-other": "2", "x-kept": "3" },
      { ...always, "x-kept": "3" },
    ],
    [
      "Connection can't strip what we set",
      { connection: "accept-encoding, content-type", "content-type": "a/b" },
      always,
    ],
  ];
  test.each(cases)("%s", (_name, sent, expected) => {
    expect(toUpstreamHeaders(new Headers(sent), {})).toEqual(expected);
  });

  test("the client's key goes up under no name, and in no part of a value", () => {
    const key = "cpk_test-7Qm2vXz9Kd4Lw8Rb1Tn6";
    const more = {
      "x-mine": key,
      "x-note": `a=${key};b`,
      "x-auth": `Bearer ${key}`,
      "x-kept": "1",
    };
    const places: readonly Record<string, string>[] = [
      { authorization: `Bearer ${key}` },
      { authorization: `bEARER   ${key}` },
      { "x-api-key": key },
      { "x-goog-api-key": key },
    ];
    for (const place of places) {
      const out = toUpstreamHeaders(new Headers({ ...place, ...more }), {});
      expect(out).toEqual({ ...always, "x-kept": "1" });
    }
  });

  test("defaults fill gaps, the client's own value wins", () => {
    const defaults = { "anthropic-version": "2023-06-01", "x-default": "1" };
    const out = toUpstreamHeaders(new Headers({ "anthropic-version": "2026-10-21" }), defaults);
    expect(out).toEqual({ ...always, "anthropic-version": "2026-10-21", "x-default": "1" });
    expect(defaults).toEqual({ "anthropic-version": "2023-06-01", "x-default": "1" });
  });
});

describe("toUpstreamQuery", () => {
  const cases: readonly (readonly [query: string, expected: string])[] = [
    ["", ""],
    ["?beta=true", "?beta=true"],
    ["?a=1&b=%20x&b=2", "?a=1&b=%20x&b=2"],
    ["?key=secret", ""],
    ["?key=secret&beta=true", "?beta=true"],
    ["?beta=true&key=secret", "?beta=true"],
    ["?KEY=secret&a=1", "?a=1"],
    ["?auth_token=secret&a=1", "?a=1"],
    ["?monkey=1&keys=2", "?monkey=1&keys=2"],
    ["?a=1&key=", "?a=1"],
    // The same name to whoever decodes it.
    ["?%6bey=secret&a=1", "?a=1"],
    ["?k%65y=secret", ""],
  ];
  test.each(cases)("%s", (query, expected) => {
    expect(toUpstreamQuery(`http://127.0.0.1:8317/v1/messages${query}`)).toBe(expected);
  });
});

describe("toClientHeaders", () => {
  const x = startExchange(createStubHouse());
  const ours = { "cache-control": "no-store", "x-request-id": x.id };
  const passed: readonly (readonly [name: string, value: string])[] = [
    ["retry-after", "7"],
    ["retry-after-ms", "1500"],
    ["x-should-retry", "true"],
    ["x-ratelimit-remaining-tokens", "41"],
    ["anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"],
  ];
  test.each(passed)("passes %s", (name, value) => {
    expect(toClientHeaders(x, new Headers({ [name]: value }))).toEqual({ ...ours, [name]: value });
  });

  const now = "Wed, 25 Nov 2026 12:00:00 GMT";
  type Wait = readonly [
    name: string,
    value: string,
    passed: string | undefined,
    date: string | undefined,
  ];
  const waits: readonly Wait[] = [
    ["retry-after", "86400", "86400", undefined],
    ["retry-after", "86401", "86400", undefined],
    ["retry-after", "1.5", "2", undefined],
    ["retry-after", "-1", undefined, undefined],
    ["retry-after", "1e3", undefined, undefined],
    ["retry-after", "5, 6", undefined, undefined],
    ["retry-after", "soon", undefined, undefined],
    ["retry-after", "Wed, 25 Nov 2026 12:00:07 GMT", "7", now],
    ["retry-after", "Wed, 25 Nov 2026 11:00:00 GMT", "0", now],
    ["retry-after", "Fri, 25 Nov 2096 12:00:00 GMT", "86400", now],
    ["retry-after", "Wed, 25 Nov 2026 12:00:07 GMT", undefined, undefined],
    ["retry-after-ms", "86400001", "86400000", undefined],
    ["retry-after-ms", "-1", undefined, undefined],
    ["x-should-retry", "maybe", undefined, undefined],
  ];
  test.each(waits)("%s: %s is told as %p", (name, value, passed, date) => {
    const headers = new Headers({ [name]: value, ...(date !== undefined && { date }) });
    expect(toClientHeaders(x, headers)[name]).toBe(passed);
  });

  const limits: readonly (readonly [name: string, value: string, isPassed: boolean])[] = [
    [`x-ratelimit-${"a".repeat(52)}`, "1", true],
    [`x-ratelimit-${"a".repeat(53)}`, "1", false],
    ["x-ratelimit-a", "1".repeat(128), true],
    ["x-ratelimit-a", "1".repeat(129), false],
    ["x-ratelimit-a", "caf\u00e9", false],
  ];
  test.each(limits)("bounds what limits are told: %s: %s", (name, value, isPassed) => {
    expect(toClientHeaders(x, new Headers({ [name]: value }))[name] === value).toBe(isPassed);
  });

  test.each([32, 33])("of %d limits, 32 are told", (count) => {
    const many = Array.from({ length: count }, (_, i) => [`x-ratelimit-${i}`, "1"] as const);
    const out = toClientHeaders(x, new Headers(many as [string, string][]));
    expect(Object.keys(out).filter((name) => name.startsWith("x-ratelimit-"))).toHaveLength(32);
  });

  const stopped = [
    ...["server", "set-cookie", "via", "x-internal-address", "x-powered-by", "alt-svc", "date"],
    ...["content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"],
    ...["strict-transport-security", "openai-organization", "anthropic-organization-id", "cf-ray"],
    ...["access-control-allow-origin", "location", "www-authenticate", "cache-control", "nel"],
    ...["openai-processing-ms", "x-envoy-upstream-service-time"],
  ];
  test.each(stopped)("stops %s", (name) => {
    expect(toClientHeaders(x, new Headers({ [name]: "secret" }))).toEqual(ours);
  });

  const ids: readonly (readonly [id: string, isPassed: boolean])[] = [
    ["req_011CQ:a.b-c", true],
    ["x".repeat(128), true],
    ["x".repeat(129), false],
    ["has space", false],
    ["<script>", false],
  ];
  test.each(ids)("the provider's request id under another name: %s", (id, isPassed) => {
    const expected = isPassed ? { ...ours, "x-upstream-request-id": id } : ours;
    expect(toClientHeaders(x, new Headers({ "request-id": id }))).toEqual(expected);
    expect(toClientHeaders(x, new Headers({ "x-request-id": id }))).toEqual(expected);
  });

  test("without an answer, only ours", () => {
    expect(toClientHeaders(x, undefined)).toEqual(ours);
  });
});
