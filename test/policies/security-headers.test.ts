import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { policy } from "../../policies/security-headers.ts";
import { hooksFor } from "../harness/policies.ts";
import { createStubHost } from "../harness/stubs.ts";

const guide = {
  enabled: true,
  strictTransportSecurity: "max-age=31536000; includeSubDomains",
  contentTypeOptions: "nosniff",
  frameOptions: "DENY",
  xssProtection: "1; mode=block",
  contentSecurityPolicy: "default-src 'self'",
};
const plain = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "x-xss-protection": "1; mode=block",
  "content-security-policy": "default-src 'self'",
};
const overTls = {
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  ...plain,
};

async function headersOf(config: object, tls = false) {
  return (await hooksFor(policy, config, createStubHost({ tls })))?.headers;
}

describe("security-headers", () => {
  const cases: readonly (readonly [
    name: string,
    config: object,
    tls: boolean,
    headers: unknown,
  ])[] = [
    ["nothing said: all of the guide's", {}, false, plain],
    ["the guide's block", guide, false, plain],
    ["the guide's block, over TLS", guide, true, overTls],
    ["off", { enabled: false }, true, undefined],
    [
      "one changed",
      { frameOptions: "SAMEORIGIN" },
      false,
      { ...plain, "x-frame-options": "SAMEORIGIN" },
    ],
    [
      "removed by an empty value, blanks or false",
      { frameOptions: "", xssProtection: false, contentSecurityPolicy: " " },
      false,
      { "x-content-type-options": "nosniff" },
    ],
    ["HSTS removed", { strictTransportSecurity: false }, true, plain],
  ];
  test.each(cases)("%s", async (_name, config, tls, headers) => {
    expect(await headersOf(config, tls)).toEqual(headers as never);
  });

  const bad = [
    "a\r\nset-cookie: x=1",
    "a\nb",
    "a\rb",
    "a\0b",
    "\u007f",
    "caf\u00e9",
    "\u2028",
    "a\tb",
  ];
  for (const key of Object.keys(guide).filter((name) => name !== "enabled")) {
    test.each([...bad, "x".repeat(4097), true, null, 5])(`${key} refuses %j`, (value) => {
      expect(v.safeParse(policy.config.schema, { [key]: value }).success).toBe(false);
    });
  }

  test("takes the longest value", () => {
    const config = { contentSecurityPolicy: "x".repeat(4096) };
    expect(v.safeParse(policy.config.schema, config).success).toBe(true);
  });
});
