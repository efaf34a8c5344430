import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import openapi from "../../docs/openapi.json" with { type: "json" };
import { cleanUp } from "../harness/cleanup.ts";
import { clientKey, needBinary, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { rawExchange } from "../harness/raw.ts";
import { until } from "../harness/wait.ts";

const key = "m-7Qm2vXz9Kd4Lw8Rb1Tn6";
const root = "/v0/management";
let proxy: RunningProxy;

beforeAll(async () => {
  needBinary();
  proxy = await startProxy({ config: { management: { key } } });
});
afterAll(cleanUp);

const auth = { authorization: `Bearer ${key}` };

let callers = 1;

/**
 * One request on a connection of its own, as the path is written; without the key from an address
 * of its own, so that the failures of one test do not slow another.
 */
async function ask(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = auth,
  body?: string,
): Promise<{ status: number; head: string; body: string }> {
  if (headers !== auth) callers += 1;
  const from = headers === auth ? "127.0.0.1" : `127.0.7.${callers}`;
  const text = await rawExchange(proxy.url, method, target, Object.entries(headers), body, from);
  const [head = "", rest = ""] = text.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), body: rest };
}

describe("every operation of the document", () => {
  const operations = Object.entries(openapi.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId }]) => ({
      method: method.toUpperCase(),
      path: path.replace(/\{\w+\}/g, "nobody"),
      operationId,
    })),
  );

  test("is there", () => {
    expect(operations.map((o) => o.operationId)).toContain("getStatus");
  });

  test.each(operations)("$operationId: needs the key", async ({ method, path }) => {
    for (const headers of [{}, { authorization: `Bearer ${clientKey}` }]) {
      const { status, body } = await ask(method, path, headers);
      expect(status).toBe(401);
      if (method !== "HEAD") expect(body).toContain("X-Management-Key");
    }
  });

  test.each(operations)("$operationId: is routed", async ({ method, path }) => {
    const { status, head, body } = await ask(method, path);
    expect(status).not.toBe(405);
    expect(status).toBeLessThan(500);
    // Unknown things may be 404, an unknown path would say so.
    if (status === 404) expect(body).not.toContain("no such endpoint");
    expect(head).toContain("cache-control: no-store");
  });

  test.each(operations)("$operationId: other methods are 405", async ({ path }) => {
    const { status, head } = await ask("PATCH", path);
    expect(status).toBe(405);
    expect(head).toContain("allow: ");
  });
});

describe("what is served", () => {
  test("the document is the committed one", async () => {
    const reply = await proxy.get(`${root}/openapi.json`, { headers: auth });
    expect(await reply.json()).toEqual(openapi);
  });

  test("status and plan say what the house is", async () => {
    const status = await (await proxy.get(`${root}/status`, { headers: auth })).json();
    expect(status).toMatchObject({ version: "0.1.0", generation: 1, reload: "ok", running: 1 });
    const plan = await (await proxy.get(`${root}/plan`, { headers: auth })).json();
    expect(plan).toEqual(JSON.parse(JSON.stringify(proxy.greeting.plan)));
  });

  test("X-Management-Key works, HEAD has no body", async () => {
    const { status, body } = await ask("HEAD", `${root}/status`, { "x-management-key": key });
    expect(status).toBe(200);
    expect(body).toBe("");
  });
});

describe("what is refused", () => {
  type Row = readonly [name: string, method: string, target: string, headers: object, is: number];
  const rows: readonly Row[] = [
    ["an unknown path", "GET", `${root}/nothing`, auth, 404],
    ["the root", "GET", root, auth, 404],
    ["the root with a slash", "GET", `${root}/`, auth, 404],
    ["an unknown path without a key", "GET", `${root}/nothing`, {}, 401],
    ["a slash at the end", "GET", `${root}/status/`, auth, 404],
    ["an unknown query", "GET", `${root}/status?verbose=1`, auth, 400],
    ["a query sent twice", "GET", `${root}/status?a=1&a=2`, auth, 400],
    ["a rebound name", "GET", `${root}/status`, { ...auth, host: "evil.example" }, 403],
    ["another page", "GET", `${root}/status`, { ...auth, origin: "http://evil.example" }, 403],
    ["encoded letters", "GET", "/v0/%6danagement/status", {}, 401],
    ["dots", "GET", "/v0/./management/status", {}, 401],
    ["two slashes", "GET", "//v0/management/status", {}, 401],
    ["another case", "GET", "/V0/management/status", {}, 401],
    ["an encoded slash", "GET", "/v0%2fmanagement/status", {}, 401],
    ["OPTIONS", "OPTIONS", `${root}/status`, { origin: "http://evil.example" }, 403],
  ];
  test.each(rows)("%s", async (_name, method, target, headers, status) => {
    const reply = await ask(method, target, headers as Record<string, string>);
    expect(reply.status).toBe(status);
    expect(reply.body).not.toContain('"generation"');
    expect(reply.head).not.toContain("access-control-");
  });

  test("the management key is no client key", async () => {
    const { status } = await ask("GET", "/v1/models", auth);
    expect(status).toBe(401);
  });

  test("errors have one shape", async () => {
    const { body } = await ask("GET", `${root}/nothing`);
    expect(JSON.parse(body)).toEqual({
      error: { code: "not_found", message: expect.any(String), request_id: expect.any(String) },
    });
  });
});

test("without a configured key one is made, and only its path is shown", async () => {
  const other = await startProxy();
  const path = join(other.authDir, "management.key");
  const made = readFileSync(path, "utf8").trim();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(other.greeting.keys).toContainEqual({ title: "management key", path });
  expect(other.stdout() + other.stderr()).not.toContain(made);
  const headers = { authorization: `Bearer ${made}` };
  expect((await other.get(`${root}/status`, { headers })).status).toBe(200);
});

test("a reload changes the key at once", async () => {
  const other = await startProxy({ config: { management: { key } } });
  other.writeConfig({ management: { key: `${key}-next` } });
  other.signal("SIGHUP");
  const status = async (k: string): Promise<number> =>
    (await other.get(`${root}/status`, { headers: { authorization: `Bearer ${k}` } })).status;
  // By the old key, which is good until then: asking with the new one would be failed logins.
  await until("the old key is refused", async () => (await status(key)) === 401);
  expect(await status(`${key}-next`)).toBe(200);
});
