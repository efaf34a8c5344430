import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { ask, openStreamFrom, type RawAnswer } from "../harness/edge.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  configOf,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { endless, paced } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";

const managementKey = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";
let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

const usual = (more: object = {}) => ({
  providers: providersOf(upstream.url),
  management: { key: managementKey },
  ...more,
});

function start(more: object = {}): Promise<RunningProxy> {
  return startProxy({ config: usual({ state: { store: "memory" }, ...more }) });
}

function manage(
  proxy: RunningProxy,
  method: string,
  path: string,
  body?: unknown,
  more: { from?: string; headers?: readonly (readonly [string, string])[] } = {},
): Promise<RawAnswer> {
  return ask(proxy, { key: managementKey, method, path: `/v0/management${path}`, body, ...more });
}

const list = "/security/ip-denylist";
const status = async (proxy: RunningProxy, from: string) => (await ask(proxy, { from })).status;

describe("the denylist at run time", () => {
  test("the guide's request: in force when answered, live streams cut, others not", async () => {
    const proxy = await start();
    upstream.on("edge-denied", endless(20));
    const cut = await openStreamFrom(proxy, "127.0.0.2", "edge-denied");
    const kept = await openStreamFrom(proxy, "127.0.0.3", "edge-denied");
    const started = performance.now();
    const body = { ip: "127.0.0.2", reason: "Suspicious activity" };
    const answer = await manage(proxy, "POST", list, body);
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([
      201,
      { ip: "127.0.0.2", reason: "Suspicious activity", expires_at: null, ended: 1 },
    ]);
    expect(await status(proxy, "127.0.0.2")).toBe(403);
    const text = await cut.read((t) => t.includes("revoked"));
    expect(performance.now() - started).toBeLessThan(1000);
    expect(text).not.toContain("[DONE]");
    const before = kept.text().length;
    await until("the other goes on", () => kept.text().length > before + 500);
    expect(kept.text()).not.toContain("revoked");
    cut.close();
    kept.close();
    const listed = JSON.parse((await manage(proxy, "GET", list)).body);
    expect(listed).toMatchObject({ total: 1, next: null, entries: [{ ip: "127.0.0.2" }] });
    expect((await manage(proxy, "DELETE", `${list}/127.0.0.2`)).status).toBe(204);
    expect(await status(proxy, "127.0.0.2")).toBe(200);
    expect((await manage(proxy, "DELETE", `${list}/127.0.0.2`)).status).toBe(404);
    expect(await proxy.stop()).toBe(0);
  });

  test("ranges, expiry, mapped forms; answers carry the security headers", async () => {
    const proxy = await start();
    const answer = await manage(proxy, "POST", list, { ip: "127.0.1.77/24", expires_in: 2 });
    expect(answer.header("x-frame-options")).toBe("DENY");
    expect(JSON.parse(answer.body)).toMatchObject({ ip: "127.0.1.0/24" });
    await manage(proxy, "POST", list, { ip: "::ffff:127.0.0.9" });
    expect(await status(proxy, "127.0.1.200")).toBe(403);
    expect(await status(proxy, "127.0.0.9")).toBe(403);
    await until("it is over", async () => (await status(proxy, "127.0.1.200")) === 200, 5000);
    await manage(proxy, "POST", list, { ip: "127.0.2.0/24" });
    expect((await manage(proxy, "DELETE", `${list}/127.0.2.0`)).status).toBe(404);
    expect((await manage(proxy, "DELETE", `${list}/127.0.2.0?prefix=24`)).status).toBe(204);
    expect((await manage(proxy, "DELETE", `${list}/nonsense`)).status).toBe(400);
    for (const ip of ["010.0.0.1", "10.1", "x", ""]) {
      expect((await manage(proxy, "POST", list, { ip })).status).toBe(422);
    }
    expect(await proxy.stop()).toBe(0);
  });

  test("75: the caller's own address only with force, which then shuts it out", async () => {
    const proxy = await start();
    for (const ip of ["127.0.0.1", "127.0.0.0/8"]) {
      const refused = await manage(proxy, "POST", list, { ip, reason: "oops" });
      expect([refused.status, refused.body.includes("force")]).toEqual([409, true]);
    }
    expect(await status(proxy, "127.0.0.1")).toBe(200);
    const forced = await manage(
      proxy,
      "POST",
      list,
      { ip: "127.0.0.5", force: true },
      { from: "127.0.0.5" },
    );
    expect(forced.status).toBe(201);
    const shut = await manage(proxy, "GET", list, undefined, { from: "127.0.0.5" });
    expect([shut.status, shut.body.includes("address_denied")]).toEqual([403, true]);
    expect((await manage(proxy, "DELETE", `${list}/127.0.0.5`)).status).toBe(204);
    expect(await proxy.stop()).toBe(0);
  });

  test("survives a reload, a restart and SIGKILL; off, it can't be added to", async () => {
    const path = (dir: string) => join(dir, "state.db");
    const config = (dir: string, more: object = {}) =>
      usual({ state: { store: "sqlite", path: path(dir) }, ...more });
    const one = await startProxy({
      prepare(dir) {
        const text = JSON.stringify(configOf(dir, config(dir)));
        writeFileSync(join(dir, "config.yaml"), text);
      },
    });
    await manage(one, "POST", list, { ip: "127.0.0.2", reason: "kept" });
    await manage(one, "PUT", "/maintenance", { enabled: true, message: "Kept too" });
    process.kill(one.pid, "SIGKILL");
    await one.exited;
    const again = await startProxy({ config: config(one.dir) });
    expect(await status(again, "127.0.0.2")).toBe(403);
    const maintained = await ask(again);
    expect([maintained.status, maintained.body.includes("Kept too")]).toEqual([503, true]);
    await manage(again, "PUT", "/maintenance", { enabled: false });
    again.writeConfig(
      config(one.dir, { server: { security: { ip_denylist: { enabled: false } } } }),
    );
    await until("it is off", async () => (await status(again, "127.0.0.2")) === 200);
    expect((await manage(again, "POST", list, { ip: "127.0.0.3" })).status).toBe(404);
    again.writeConfig(config(one.dir));
    await until("it is on", async () => (await status(again, "127.0.0.2")) === 403);
    expect(await again.stop()).toBe(0);
  });
});

describe("maintenance at run time", () => {
  test("146: on and off, with health and management reachable and streams that end", async () => {
    const proxy = await start();
    upstream.on("edge-switched", paced(100, { text: "a b c d e f g h i j k l".split(" ") }));
    const stream = await openStreamFrom(proxy, "127.0.0.1", "edge-switched");
    const { header } = await manage(proxy, "GET", "/maintenance");
    const wanted = { enabled: true, message: "Back at noon", retry_after: 120 };
    const headers = [["If-Match", header("etag") ?? ""]] as const;
    const on = await manage(proxy, "PUT", "/maintenance", wanted, { headers });
    expect([on.status, JSON.parse(on.body)]).toEqual([200, { ...wanted, source: "api" }]);
    expect((await manage(proxy, "PUT", "/maintenance", wanted, { headers })).status).toBe(412);
    const refused = await ask(proxy);
    expect([refused.status, refused.header("retry-after")]).toEqual([503, "120"]);
    expect(JSON.parse(refused.body).error).toMatchObject({
      code: "maintenance",
      message: "Back at noon",
    });
    expect(refused.header("x-frame-options")).toBe("DENY");
    for (const path of ["/healthz", "/readyz"]) {
      expect((await ask(proxy, { path, key: undefined })).status).toBe(200);
    }
    expect(await stream.read((text) => text.includes("[DONE]"), 10_000)).toContain("[DONE]");
    stream.close();
    expect((await manage(proxy, "PUT", "/maintenance", { enabled: false })).status).toBe(200);
    expect((await ask(proxy)).status).toBe(200);
    expect(await proxy.stop()).toBe(0);
  });

  test("what the configuration turned on is turned off there", async () => {
    const proxy = await start({ server: { maintenance_mode: true, message: "By file" } });
    const told = await manage(proxy, "GET", "/maintenance");
    expect(JSON.parse(told.body)).toMatchObject({ enabled: true, source: "config" });
    const refused = await manage(proxy, "PUT", "/maintenance", { enabled: false });
    expect([refused.status, refused.body.includes("maintenance_mode")]).toEqual([409, true]);
    expect((await ask(proxy)).status).toBe(503);
    expect(await proxy.stop()).toBe(0);
  });
});
