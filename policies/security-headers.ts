/**
 * Sets security headers on every response of the house, errors and health included. It can't reach
 * what the runtime's own HTTP parser answers (400, 431, 505). They are built once for a
 * configuration, so there is nothing that could fail.
 */
import * as v from "valibot";
import { definePolicy } from "../src/contract/policy.ts";
import { doc } from "../src/kit/schema.ts";

/** A value to send; an empty one, or `false`, sends none. */
function header(name: string, value: string) {
  return v.optional(
    v.pipe(
      v.union([
        v.pipe(
          v.string(),
          v.regex(/^[\x20-\x7e]*$/, "holds a line break or another character no header may hold"),
          v.maxLength(longestValue),
        ),
        v.literal(false),
      ]),
      doc(`Value of ${name}; "" or false: not sent.`),
    ),
    value,
  );
}

/** Characters of the longest value. */
const longestValue = 4096;

const schema = v.strictObject({
  enabled: v.optional(v.pipe(v.boolean(), doc("Whether any of them is sent.")), true),
  strictTransportSecurity: header(
    "Strict-Transport-Security, on TLS connections only",
    "max-age=31536000; includeSubDomains",
  ),
  contentTypeOptions: header("X-Content-Type-Options", "nosniff"),
  frameOptions: header("X-Frame-Options", "DENY"),
  xssProtection: header("X-XSS-Protection", "1; mode=block"),
  contentSecurityPolicy: header("Content-Security-Policy", "default-src 'self'"),
});

const root = "server.security.headers";

export const policy = definePolicy({
  name: "security-headers",
  summary: "Every response carries security headers.",
  stage: "observe",
  onFault: "open",
  covers: { surfaces: "all", streams: true, admin: true },
  config: {
    schema,
    keys: {
      enabled: `${root}.enabled`,
      strictTransportSecurity: `${root}.strict_transport_security`,
      contentTypeOptions: `${root}.content_type_options`,
      frameOptions: `${root}.frame_options`,
      xssProtection: `${root}.xss_protection`,
      contentSecurityPolicy: `${root}.content_security_policy`,
    },
  },
  create(config, host) {
    if (!config.enabled) return undefined;
    const values: readonly (readonly [name: string, value: string | false])[] = [
      // RFC 6797, 7.2: a browser ignores it on a plain connection, and it must not be sent there.
      ["strict-transport-security", host.facts.tls && config.strictTransportSecurity],
      ["x-content-type-options", config.contentTypeOptions],
      ["x-frame-options", config.frameOptions],
      ["x-xss-protection", config.xssProtection],
      ["content-security-policy", config.contentSecurityPolicy],
    ];
    const sent = values.filter(([, value]) => value !== false && value.trim() !== "");
    return { headers: Object.fromEntries(sent) as Record<string, string> };
  },
});
