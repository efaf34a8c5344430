import { expect } from "bun:test";
import type { RunningProxy } from "../harness/proxy.ts";
import { askModel, chat } from "./asking.ts";
import type { KeyProof } from "./prove.ts";

const headerRoot = "server.security.headers";

/** A header on answers of every kind. */
async function everywhere(proxy: RunningProxy, name: string, value: string): Promise<void> {
  const replies = [
    await proxy.post("/v1/chat/completions", chat),
    await proxy.post("/v1/chat/completions", "{"),
    await proxy.post("/v1/messages", { ...chat, max_tokens: 9, stream: true }),
    await proxy.get("/v1/models", { headers: { authorization: "Bearer nobody" } }),
    await proxy.get("/v1/nothing"),
    await proxy.get("/healthz"),
    await proxy.get("/v0/management/maintenance"),
  ];
  for (const reply of replies) {
    await reply.text();
    expect(reply.headers.get(name)).toBe(value);
  }
}

function headerProof(key: string, name: string, value: string): KeyProof {
  return {
    block: "security headers",
    key: `${headerRoot}.${key}`,
    without: key === "enabled" ? false : "",
    prove: (proxy) => everywhere(proxy, name, value),
  };
}

const headers: readonly KeyProof[] = [
  headerProof("enabled", "x-content-type-options", "nosniff"),
  headerProof("content_type_options", "x-content-type-options", "nosniff"),
  headerProof("frame_options", "x-frame-options", "DENY"),
  headerProof("xss_protection", "x-xss-protection", "1; mode=block"),
  headerProof("content_security_policy", "content-security-policy", "default-src 'self'"),
];

const maintenance: readonly KeyProof[] = [
  {
    block: "maintenance",
    key: "server.maintenance_mode",
    without: false,
    async prove(proxy) {
      for (const path of ["/v1/chat/completions", "/v1/messages"]) {
        const { status, headers } = await askModel(proxy, path, chat.model);
        expect(status).toBe(503);
        expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      }
      expect((await proxy.get("/v1/models")).status).toBe(503);
      expect((await proxy.get("/healthz")).status).toBe(200);
      expect((await proxy.get("/readyz")).status).toBe(200);
      expect((await proxy.get("/v0/management/maintenance")).status).toBe(401);
    },
  },
  {
    block: "maintenance",
    key: "server.message",
    async prove(proxy) {
      const message = "Scheduled maintenance in progress";
      const openai = await askModel(proxy, "/v1/chat/completions", chat.model);
      expect(JSON.parse(openai.text).error).toMatchObject({ code: "maintenance", message });
      const anthropic = await askModel(proxy, "/v1/messages", chat.model);
      expect(JSON.parse(anthropic.text)).toMatchObject({ type: "error", error: { message } });
    },
  },
];

export const answerProofs: readonly KeyProof[] = [...headers, ...maintenance];
