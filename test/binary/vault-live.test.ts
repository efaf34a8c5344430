import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { vaultKeys } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import {
  makeDir,
  needBinary,
  type ProxyOptions,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { sleep, until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const managementKey = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";
const encryption = { enabled: true, key: vaultKeys[0] };
const token = (end: number): string => `sk-ant-api03-Zk3vQ9xT7mW2Lw8R-${1000 + end}`;

/** A proxy over a directory of credentials that others may share. */
function start(dir?: string, more: ProxyOptions = {}): Promise<RunningProxy> {
  const auth = { encryption, ...(dir !== undefined && { dir }) };
  const management = { key: managementKey };
  return startProxy({ config: { auth, management, state: { store: "memory" } }, ...more });
}

interface Told {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, asserted where read
  readonly json: any;
}

async function manage(proxy: RunningProxy, method: string, body?: object): Promise<Told> {
  const reply = await fetch(`${proxy.url}/v0/management/auths`, {
    method,
    headers: { authorization: `Bearer ${managementKey}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    keepalive: false,
  });
  return { status: reply.status, json: await reply.json() };
}

function add(proxy: RunningProxy, id: string, end: number): Promise<Told> {
  const credential = { provider: "claude", id, type: "api_key", token: token(end) };
  return manage(proxy, "POST", credential);
}

interface Shown {
  readonly id: string;
  readonly last4: string;
  readonly encrypted: boolean;
}

async function list(proxy: RunningProxy): Promise<readonly Shown[]> {
  const { json } = await manage(proxy, "GET");
  expect(json.refused).toEqual([]);
  return json.auths;
}

const lastOf = (auths: readonly Shown[], id: string): string | undefined =>
  auths.find((one) => one.id === id)?.last4;

/** When the process is killed: before the request is sent, when it is answered, or after ms. */
const moments = ["unsent", "answered", 1, 2, 3, 4, 6, 9, 30, 60] as const;

test.concurrent("30 rounds of SIGKILL during the management API's write lose nothing", async () => {
  const dir = join(makeDir(), "auths");
  let proxy = await start(dir);
  expect((await add(proxy, "old", 0)).status).toBe(201);
  let before: string | undefined;
  const kept = { answered: 0, lost: 0 };
  for (let round = 1; round <= 30; round++) {
    const answer = add(proxy, "new", round).catch(() => undefined);
    const moment = moments[round % moments.length];
    if (moment === "answered") await answer;
    else if (moment !== "unsent") await sleep(moment ?? 0);
    process.kill(proxy.pid, "SIGKILL");
    const status = (await answer)?.status;
    await proxy.exited;
    proxy = await start(dir);
    const auths = await list(proxy);
    expect(lastOf(auths, "old")).toBe("1000");
    const now = lastOf(auths, "new");
    const written = token(round).slice(-4);
    // What was answered is there; what was not is there as a whole, or not at all.
    if (status === 201) expect(now).toBe(written);
    else expect([before, written]).toContain(now as string);
    kept[status === 201 ? "answered" : "lost"] += 1;
    before = now;
  }
  expect(kept.lost).toBeGreaterThan(0);
  expect(kept.answered).toBeGreaterThan(0);
  expect((await add(proxy, "new", 99)).status).toBe(201);
  await proxy.stop();
}, 120_000);

test.concurrent("two proxies that share the directory lose nothing, and both have all at once", async () => {
  const one = await start();
  const two = await start(one.authDir);
  const ids = Array.from({ length: 24 }, (_, i) => `c${i}`);
  const added = await Promise.all(ids.map((id, i) => add(i % 2 === 0 ? one : two, id, i)));
  expect(added.map(({ status }) => status)).toEqual(ids.map(() => 201));
  for (const proxy of [one, two]) {
    const auths = await list(proxy);
    expect(auths.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(auths.every(({ encrypted }) => encrypted)).toBe(true);
    expect(ids.map((id) => lastOf(auths, id))).toEqual(ids.map((_id, i) => token(i).slice(-4)));
    await until("both use them", async () => {
      const reply = await fetch(`${proxy.url}/v0/management/plan`, {
        headers: { authorization: `Bearer ${managementKey}` },
      });
      const { providers } = (await reply.json()) as { providers: { credentials: number }[] };
      return providers[0]?.credentials === ids.length;
    });
  }
  await Promise.all([one.stop(), two.stop()]);
}, 30_000);

test.concurrent("a writer gives up after 15 s of another's lock, says whose, and serves meanwhile", async () => {
  const proxy = await start();
  expect((await add(proxy, "old", 0)).status).toBe(201);
  const lock = join(proxy.authDir, ".lock");
  // This process lives, and renews its lock like one whose work is long.
  const holder = { pid: process.pid, host: hostname(), nonce: "test" };
  writeFileSync(lock, JSON.stringify(holder), { mode: 0o600 });
  const renewal = setInterval(() => utimesSync(lock, new Date(), new Date()), 500);
  const begun = performance.now();
  let told: Told | undefined;
  const answer = add(proxy, "new", 1).then((reply) => {
    told = reply;
  });
  while (told === undefined) {
    const askedAt = performance.now();
    expect((await proxy.get("/v1/models")).status).toBe(200);
    expect(performance.now() - askedAt).toBeLessThan(1000);
    await Promise.race([answer, sleep(1000)]);
  }
  clearInterval(renewal);
  expect(performance.now() - begun).toBeWithin(14_500, 20_000);
  expect(told.status).toBe(409);
  expect(told.json.error.message).toContain(`is held by process ${process.pid}`);
  expect(told.json.error.message).not.toContain(token(1));
  expect((await list(proxy)).map(({ id }) => id)).toEqual(["old"]);
  // Nobody renews it now: after 10 s it is nobody's, and before that it is freed here.
  expect(JSON.parse(readFileSync(lock, "utf8"))).toEqual(holder);
  rmSync(lock);
  expect((await add(proxy, "new", 2)).status).toBe(201);
  await proxy.stop();
}, 60_000);

test("doctor beside a running proxy sees what is wrong in its vault, and changes nothing", async () => {
  const proxy = await start();
  expect((await add(proxy, "work", 1)).status).toBe(201);
  const found = async (): Promise<Readonly<Record<string, string>>> => {
    const args = ["doctor", "--json", "--only", "policies", "--config", proxy.configFile];
    const { out } = await runBinary(args);
    const { findings } = JSON.parse(out) as { findings: { id: string; evidence: string }[] };
    const ours = findings.filter(({ id }) => id.startsWith("credentials-"));
    return Object.fromEntries(ours.map(({ id, evidence }) => [id, evidence]));
  };
  expect(await found()).toEqual({});
  const file = (id: string): string => join(proxy.authDir, `claude-${id}.json`);
  const sealed = readFileSync(file("work"), "utf8");
  copyFileSync(file("work"), file("copy"));
  const plain = JSON.stringify({ type: "api_key", token: token(2) });
  writeFileSync(file("plain"), plain, { mode: 0o600 });
  const told = await found();
  expect(told["credentials-not-decrypted"]).toContain("claude-copy.json");
  expect(told["credentials-not-encrypted"]).toContain("claude-plain.json");
  expect(JSON.stringify(told)).not.toContain(token(2).slice(0, -4));
  expect(readFileSync(file("work"), "utf8")).toBe(sealed);
  expect(readFileSync(file("plain"), "utf8")).toBe(plain);
  expect(existsSync(join(proxy.authDir, ".lock"))).toBe(false);
  for (const id of ["copy", "plain"]) rmSync(file(id));
  expect(await found()).toEqual({});
  expect((await proxy.get("/v1/models")).status).toBe(200);
  await proxy.stop();
}, 30_000);
