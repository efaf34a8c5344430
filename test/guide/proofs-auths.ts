import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OAuthServer } from "../harness/oauth-server.ts";
import type { RunningProxy } from "../harness/proxy.ts";
import { managementKey } from "./asking.ts";
import { type CommandProof, run } from "./shell.ts";

/** The management key that a proxy made for itself, or the one of its configuration. */
function keyOf({ authDir }: RunningProxy): string {
  const file = join(authDir, "management.key");
  return existsSync(file) ? readFileSync(file, "utf8").trim() : managementKey;
}

/** Adds a credential by the guide's request. */
export async function addAuth(proxy: RunningProxy, body: object): Promise<number> {
  const reply = await fetch(`${proxy.url}/v0/management/auths`, {
    method: "POST",
    headers: { authorization: `Bearer ${keyOf(proxy)}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  await reply.text();
  return reply.status;
}

/** Adds a credential whose access token has run out; it is refreshed at once. */
export async function refreshToken(proxy: RunningProxy): Promise<void> {
  const server = await new OAuthServer().open();
  server.refreshToken = "refresh-Zk3vQ9xT7mW2Lw8Rb1";
  const status = await addAuth(proxy, {
    ...{ provider: "claude", type: "oauth", client_id: "my-client", token_url: server.tokenUrl },
    ...{ refresh_token: server.refreshToken, access_token: "access-Zk3vQ9xT7mW2Lw8Rb1" },
    expires_at: "2020-01-01T00:00:00Z",
  });
  expect(status).toBe(201);
}

/** Runs a curl of the guide as it is printed, and then with the key that it always needs. */
async function withAndWithoutKey(command: string, proxy: RunningProxy): Promise<string> {
  const here = command.replace(":8317", `:${new URL(proxy.url).port}`);
  const keyless = JSON.parse((await run(here, proxy.dir)).out);
  expect(keyless.error.message).toContain("X-Management-Key");
  expect(keyless.error.message).toContain("management.key");
  return `${here} -H "X-Management-Key: ${managementKey}"`;
}

const file = (proxy: RunningProxy): string => join(proxy.authDir, "claude.json");
const token = "sk-ant-api03-Zk3vQ9xT7mW2Lw8Rb1Tn6Yc";
const credential = { provider: "claude", type: "api_key", token };

export const authCommands: readonly CommandProof[] = [
  {
    block: "adding a credential again",
    command:
      "curl -X POST http://localhost:8317/v0/management/auths " +
      `-H "Content-Type: application/json" -d '{ "provider": "claude", "type": "api_key", ` +
      `"token": "sk-ant-xxxxx" }'`,
    config: "encryption",
    async prove(command, proxy) {
      const here = await withAndWithoutKey(command, proxy);
      const sample = JSON.parse((await run(here, proxy.dir)).out);
      expect(sample.error.message).toContain("`token` is a sample");
      expect(existsSync(file(proxy))).toBe(false);
      const { code, out } = await run(here.replace("sk-ant-xxxxx", token), proxy.dir);
      expect(code).toBe(0);
      expect(out).not.toContain(token);
      expect(JSON.parse(out)).toMatchObject({
        ...{ provider: "claude", type: "api_key", encrypted: true, last4: token.slice(-4) },
      });
      expect(readFileSync(file(proxy), "utf8")).not.toContain(token);
    },
  },
  {
    block: "revoking credentials",
    command: "curl -X DELETE http://localhost:8317/v0/management/auths/claude",
    async prove(command, proxy) {
      expect(await addAuth(proxy, credential)).toBe(201);
      expect(await addAuth(proxy, { ...credential, id: "work" })).toBe(201);
      const here = await withAndWithoutKey(command, proxy);
      expect(existsSync(file(proxy))).toBe(true);
      const { code, out } = await run(here, proxy.dir);
      expect(code).toBe(0);
      const { provider, removed } = JSON.parse(out);
      expect([provider, removed.sort()]).toEqual(["claude", ["default", "work"]]);
      expect(existsSync(file(proxy))).toBe(false);
    },
  },
];
