import * as v from "valibot";
import type { Claimant } from "../../src/config/claims.ts";
import type { Env } from "../../src/config/expand.ts";
import { type LoadedConfig, loadConfig } from "../../src/config/load.ts";
import type { ConfigIo } from "../../src/config/secret-file.ts";
import { bytes, doc, duration, port, secret } from "../../src/kit/schema.ts";

/** Claimants with every kind of path and schema, for the tests of the configuration. */
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));

export const server: Claimant = {
  name: "server",
  keys: { host: "server.host", port: "server.port", drain: "server.drain_timeout" },
  schema: v.strictObject({
    host: v.optional(v.pipe(v.string(), v.nonEmpty(), doc("Address to listen on.")), "127.0.0.1"),
    port: v.optional(v.pipe(port(), doc("Port to listen on.")), 8317),
    drain: v.optional(v.pipe(duration(), doc("How long streams may finish.")), "25s"),
  }),
};
export const rateLimit: Claimant = {
  name: "rate-limit",
  keys: { server: "server.rate_limit" },
  schema: v.strictObject({
    server: v.optional(
      v.strictObject({
        enabled: v.pipe(v.boolean(), doc("Whether it is on.")),
        burst: v.pipe(positive, doc("Most requests at once.")),
        body: v.optional(v.pipe(bytes(), doc("A size.")), "1MiB"),
        level: v.optional(v.pipe(v.picklist(["low", "high"]), doc("A choice."))),
      }),
    ),
  }),
};
export const providers: Claimant = {
  name: "providers",
  keys: { apiKey: "providers.*.api_key", models: "providers.*.models" },
  schema: v.strictObject({
    apiKey: v.optional(v.record(v.string(), v.pipe(secret(), doc("The credential."))), {}),
    models: v.optional(
      v.record(
        v.string(),
        v.pipe(
          v.array(
            v.union([v.string(), v.strictObject({ name: v.string(), upstream: v.string() })]),
          ),
          doc("Models to serve.", { example: ["sonnet", { name: "fast", upstream: "haiku" }] }),
        ),
      ),
      {},
    ),
  }),
};
export const providerLimits: Claimant = {
  name: "provider-limits",
  keys: { limits: "providers.*.rate_limit", keyLimits: "auth.api_keys.*.rate_limit" },
  schema: v.strictObject({
    limits: v.optional(v.record(v.string(), v.strictObject({ rpm: positive }))),
    keyLimits: v.optional(v.record(v.string(), v.strictObject({ rpm: positive }))),
  }),
};
export const auth: Claimant = {
  name: "auth",
  keys: { keys: "auth.api_keys", key: "auth.encryption.key" },
  schema: v.strictObject({
    keys: v.optional(
      v.pipe(
        v.array(
          v.strictObject({
            id: v.string(),
            user_id: v.optional(v.string()),
            key: v.pipe(
              secret(),
              v.check((s) => s.expose().length > 3, "is too short"),
            ),
          }),
        ),
        doc("Who may use the proxy.", { example: [{ id: "alice", key: "${ALICE_KEY}" }] }),
      ),
      [],
    ),
    key: v.optional(v.pipe(secret(), doc("The key of the store."))),
  }),
};
export const rollout: Claimant = {
  name: "rollout",
  keys: { mode: "policies.geo-fence.mode" },
  schema: v.strictObject({
    mode: v.optional(v.pipe(v.picklist(["enforce", "off"]), doc("Whether it is on.")), "enforce"),
  }),
};

export const claimants = [server, rateLimit, providers, providerLimits, auth, rollout];

/** Files by path; all others do not exist. */
export function filesOf(files: Readonly<Record<string, string>>, mode = 0o600): ConfigIo {
  return {
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("gone"), { code: "ENOENT" });
      return { bytes: new TextEncoder().encode(text), mode };
    },
  };
}

export function load(text: string, env: Env = {}, io?: ConfigIo): LoadedConfig {
  return loadConfig({ text, file: "config.yaml" }, env, claimants, io);
}

/** The values of a configuration that must load. */
export function valuesOf(loaded: LoadedConfig): Record<string, Record<string, unknown>> {
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems, null, 2));
  return Object.fromEntries(loaded.values) as Record<string, Record<string, unknown>>;
}

/** Problems as `line:column path message`. */
export function problemsOf(loaded: LoadedConfig): string[] {
  if (loaded.ok) return [];
  return loaded.problems.map((p) => `${p.line}:${p.column} ${p.path} ${p.message}`);
}
