import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir, needBinary, type RunningProxy, runBinary, startProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

const chat = "/v1/chat/completions";
const messages = [{ role: "user", content: "hello" }];

function ask(proxy: RunningProxy, headers: Record<string, string> = {}, stream = false) {
  return proxy.post(chat, { model: "sandbox-echo", messages, stream }, { headers });
}

async function codeOf(answer: Response): Promise<string> {
  const text = await answer.text();
  if (answer.status === 200) return "ok";
  return (JSON.parse(text) as { error: { code: string } }).error.code;
}

/** Files below the directory of policies, with modes that are trusted. */
function write(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(dir, "policies", name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, text);
    chmodSync(path, 0o644);
  }
}

function start(
  files: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<RunningProxy> {
  return startProxy({
    prepare(dir) {
      write(dir, files);
      writeFileSync(
        join(dir, "config.yaml"),
        JSON.stringify({
          ...configWith(dir),
          policies: { dir: join(dir, "policies"), ...settings },
        }),
      );
    },
  });
}

function configWith(dir: string): Record<string, unknown> {
  return {
    server: { port: 0 },
    auth: { dir: join(dir, "auths"), api_keys: [{ id: "tester", key: testKey }] },
  };
}
const testKey = "cpk_test-7Qm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0Gp";

const policyOf = (hooks: string, more = ""): string => `
import { definePolicy, v } from "cliproxy/policy";
export const policy = definePolicy({
  summary: "A policy of a test.",
  stage: "admit",
  ${more}
  create(config, host) {
    return { ${hooks} };
  },
});
`;

describe("a policy from disk", () => {
  test("reads its settings, sees the request, refuses with its own words", async () => {
    const hooks = `request: (x) => x.header("x-word") === config.word
      ? { deny: "not_allowed", message: "word " + x.principal?.keyId + " " + x.ip } : "pass"`;
    const config = "config: v.strictObject({ word: v.string() }),";
    const proxy = await start({ "word.ts": policyOf(hooks, config) }, { word: { word: "no" } });
    expect(await codeOf(await ask(proxy))).toBe("ok");
    const refused = await ask(proxy, { "x-word": "no" });
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain("word tester 127.0.0.1");
    expect(await proxy.stop()).toBe(0);
  });

  test("is TypeScript with imports of its own and packages beside it", async () => {
    const proxy = await start({
      "sum.ts": `
        import { definePolicy } from "cliproxy/policy";
        import { createHash } from "node:crypto";
        import { add } from "./lib/add.ts";
        import three from "three";
        enum Start { At = 1 }
        export const policy = definePolicy({
          summary: "Adds.", stage: "observe",
          create: () => ({
            response: () => ({ edit: { headers: { "x-sum": String(add(Start.At, three)),
              "x-hash": createHash("sha256").update("a").digest("hex").slice(0, 8) } } }),
          }),
        });`,
      "lib/add.ts": "export const add = (a: number, b: number): number => a + b;",
      "node_modules/three/package.json": '{"name":"three","type":"module","main":"index.js"}',
      "node_modules/three/index.js": "export default 3;",
    });
    const answer = await ask(proxy);
    expect(answer.headers.get("x-sum")).toBe("4");
    expect(answer.headers.get("x-hash")).toBe("ca978112");
    expect(await proxy.stop()).toBe(0);
  });

  test("never sees a credential, under whatever name it is sent", async () => {
    const hooks = "request: (x) => ({ deny: 'not_allowed', message: JSON.stringify(x) })";
    const proxy = await start({ "nosy.ts": policyOf(hooks) });
    const answer = await ask(proxy, {
      cookie: "session=1",
      "x-copy": `key ${testKey}`,
      "x-plain": "seen",
    });
    const told = await answer.text();
    expect(told).toContain("seen");
    expect(told).not.toContain(testKey);
    expect(told).not.toContain("session=1");
    expect(await proxy.stop()).toBe(0);
  });

  test("keeps state in the store, through a reload", async () => {
    const hooks = `async request() {
      const n = Number((await host.store.get("n")) ?? "0") + 1;
      await host.store.put("n", String(n));
      host.count("asked");
      return n > 2 ? { deny: "rate_limited", message: "number " + n } : "pass";
    }`;
    const proxy = await start({ "counter.ts": policyOf(hooks) });
    expect(await codeOf(await ask(proxy))).toBe("ok");
    write(proxy.dir, { "counter.ts": `${policyOf(hooks)}// another text` });
    await until("reload", () => proxy.stderr().includes('"msg":"reloaded"'));
    expect(await codeOf(await ask(proxy))).toBe("ok");
    expect(await (await ask(proxy)).text()).toContain("number 3");
    expect(await proxy.stop()).toBe(0);
  });
});

/** What a hook may do wrong, as source. */
const faults: Readonly<Record<string, string>> = {
  throw: 'throw new Error("planted")',
  reject: 'return Promise.reject(new Error("planted"))',
  hang: "for (;;) {}",
  regex: 'return /^(a|a)*$/.test("a".repeat(40) + "b") ? "pass" : new Promise(() => {})',
  "never answer": "return new Promise(() => {})",
  "wrong verdict": 'return { allow: "all" }',
  "no verdict": "return undefined",
  "unfit verdict": "return { deny: () => 1 }",
  exit: "process.exit(3)",
  memory: "const held = []; for (;;) held.push(new Array(1e5).fill(held.length));",
  "late throw": 'setTimeout(() => { throw new Error("planted") }, 1); return new Promise(() => {})',
};

/** A hook with all the faults, each asked for by a header. */
function faulty(hook: string, otherwise: string): string {
  const cases = Object.entries(faults).map(([name, source]) => `case "${name}": { ${source} }`);
  return `${hook}(x) { switch (x.header("x-fault")) { ${cases.join("\n")} } ${otherwise} }`;
}

const longMs = 60_000;

describe("faults", () => {
  test.each(["request", "call", "attempt", "response"])(
    "of %s: that request is refused, all others are served",
    async (hook) => {
      const proxy = await start({ "faulty.ts": policyOf(faulty(hook, 'return "pass";')) });
      for (const fault of Object.keys(faults)) {
        for (const stream of [false, true]) {
          const [broken, ...well] = await Promise.all([
            ask(proxy, { "x-fault": fault }, stream),
            ...[1, 2, 3].map(() => ask(proxy, {}, stream)),
          ]);
          const codes = await Promise.all([broken, ...well].map(codeOf));
          expect({ fault, stream, codes }).toEqual({
            ...{ fault, stream },
            codes: ["policy_fault", "ok", "ok", "ok"],
          });
        }
      }
      expect(await proxy.stop()).toBe(0);
    },
    longMs,
  );

  test.each(["attemptEnd", "finish"])(
    "of %s: nobody is refused for it",
    async (hook) => {
      const proxy = await start({ "faulty.ts": policyOf(faulty(hook, "")) });
      for (const fault of Object.keys(faults)) {
        for (const stream of [false, true]) {
          const code = await codeOf(await ask(proxy, { "x-fault": fault }, stream));
          expect({ fault, stream, code }).toEqual({ fault, stream, code: "ok" });
        }
      }
      expect(await proxy.stop()).toBe(0);
    },
    longMs,
  );

  test.each(["throw", "hang", "exit"])(
    "of event, %s: nobody is refused for it",
    async (fault) => {
      const proxy = await start({ "faulty.ts": policyOf(`event() { ${faults[fault]} }`) });
      for (const stream of [false, true])
        expect(await codeOf(await ask(proxy, {}, stream))).toBe("ok");
      expect(await proxy.stop()).toBe(0);
    },
    longMs,
  );
});

test("a hook that nobody waits for and that runs away is ended at the end, too", async () => {
  const hog = "finish() { const held = []; for (;;) held.push(new Array(1e5).fill(held.length)); }";
  const proxy = await start({ "hog.ts": policyOf(hog) });
  const peakMib = (): number => {
    const [, kib = "0"] =
      /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.pid}/status`, "utf8")) ?? [];
    return Number(kib) / 1024;
  };
  expect(await codeOf(await ask(proxy))).toBe("ok");
  let peak = peakMib();
  const watching = setInterval(() => {
    try {
      peak = peakMib();
    } catch {
      clearInterval(watching);
    }
  }, 20);
  expect(await proxy.stop()).toBe(0);
  clearInterval(watching);
  // Its limit is 128 MiB, beside some 80 of the proxy itself; unwatched it takes gigabytes.
  expect(peak).toBeLessThan(1024);
});

const good = policyOf('request: () => "pass"');
const refusals: readonly (readonly [
  name: string,
  files: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, unknown>>,
  says: RegExp,
])[] = [
  ["a syntax error, with its place", { "a.ts": "const = 1;" }, {}, /a\.ts:1:7/],
  ["a throw at load", { "a.ts": '\n  throw new Error("at load");' }, {}, /a\.ts:2:\d+ .*at load/],
  ["no policy in it", { "a.ts": "export const x = 1;" }, {}, /exports no `policy`/],
  ["a wrong stage", { "a.ts": good.replace('"admit"', '"late"') }, {}, /stage must be one of/],
  ["a missing import", { "a.ts": 'import "./gone.ts";' }, {}, /gone\.ts/],
  [
    "a file system",
    { "a.ts": `import * as fs from "node:fs";${good}fs.statSync("/");` },
    {},
    /imports fs, .*grant `fs`/,
  ],
  [
    "ffi",
    { "a.ts": `import { dlopen } from "bun:ffi";${good}dlopen("x", {});` },
    {},
    /bun:ffi.*grant `system`/,
  ],
  ["a computed import", { "a.ts": `${good}import(String(policy.summary));` }, {}, /computed name/],
  ["a built-in's name", { "auth.ts": good }, {}, /name of a built-in policy/],
  ["a name of no policy", { "Bad_Name.ts": good }, {}, /kebab-case/],
  ["an unknown setting", { "a.ts": good }, { a: { colour: "red" } }, /policies\.a\.colour/],
  ["a wrong mode", { "a.ts": good }, { a: { mode: "maybe" } }, /policies\.a\.mode/],
  ["endless loading", { "a.ts": "for (;;) {}" }, {}, /took longer than/],
  [
    "a deadline without a thread",
    { "a.ts": good },
    { a: { isolate: "none", deadline: "9ms" } },
    /policies\.a\.deadline.*no effect/,
  ],
  [
    "a memory limit without a thread",
    { "a.ts": good },
    { a: { isolate: "none", memory_mib: 64 } },
    /policies\.a\.memory_mib.*no effect/,
  ],
  [
    "gaps accepted where there are none",
    { "a.ts": good },
    { a: { accept_uncovered: true } },
    /policies\.a\.accept_uncovered/,
  ],
  ["settings of no policy", { "a.ts": good }, { b: { mode: "off" } }, /policies\.b/],
];

test.each(refusals)(
  "%s: the start is refused",
  async (_name, files, settings, says) => {
    const dir = makeDir();
    write(dir, files);
    const file = join(dir, "config.yaml");
    const policies = { dir: join(dir, "policies"), ...settings };
    writeFileSync(file, JSON.stringify({ ...configWith(dir), policies }));
    const { code, err } = await runBinary(["check", "--config", file]);
    expect(err).toMatch(says);
    expect(code).toBe(78);
  },
  longMs,
);

describe("trust", () => {
  test("a file that others may write is refused", async () => {
    const failed = startProxy({
      prepare(dir) {
        write(dir, { "a.ts": good });
        chmodSync(join(dir, "policies", "a.ts"), 0o666);
        const config = { ...configWith(dir), policies: { dir: join(dir, "policies") } };
        writeFileSync(join(dir, "config.yaml"), JSON.stringify(config));
      },
    }).catch((error: Error) => error.message);
    expect(await failed).toMatch(/may be written by others \(mode 0666\).*chmod go-w/);
  });

  test("the lock pins what may be loaded", async () => {
    const proxy = await start({ "a.ts": good });
    const locked = await runBinary(["policies", "lock", "--config", proxy.configFile]);
    expect(locked).toMatchObject({ code: 0 });
    expect(locked.out).toContain("added    a.ts");
    expect(locked.out).toContain("1 file is pinned");
    write(proxy.dir, { "a.ts": `${good}// changed` });
    await until("it is rejected", () => proxy.stderr().includes("has changed since policies.lock"));
    expect(await codeOf(await ask(proxy))).toBe("ok");
    const checked = await runBinary(["check", "--config", proxy.configFile]);
    expect(checked.code).toBe(78);
    const listed = await runBinary(["policies", "list", "--config", proxy.configFile]);
    expect(listed.out).toContain("problem: ");
    const again = ["policies", "lock", "--json", "--config", proxy.configFile];
    const told = JSON.parse((await runBinary(again)).out);
    expect(told).toMatchObject({ files: 1, added: [], changed: ["a.ts"], removed: [] });
    expect((await runBinary(["check", "--config", proxy.configFile])).code).toBe(0);
    expect(await proxy.stop()).toBe(0);
  });
});

test("list and plan show those from disk, off ones too; the log has their digests", async () => {
  const proxy = await start({ "a.ts": good, "b.ts": good }, { b: { mode: "off" } });
  const { out } = await runBinary(["policies", "list", "--json", "--config", proxy.configFile]);
  const [a, b] = (JSON.parse(out) as { name: string; files: object; mode: string }[]).slice(-2);
  expect(a).toMatchObject({ name: "a", stage: "admit", mode: "enforce", problems: [] });
  expect(b).toMatchObject({ name: "b", mode: "off", problems: [] });
  const digest = createHash("sha256").update(good).digest("hex");
  expect([a?.files, b?.files]).toEqual([{ "a.ts": digest }, { "b.ts": digest }]);
  await until("the digest is logged", () => proxy.stderr().includes(digest));
  const plan = await runBinary(["policies", "plan", "--config", proxy.configFile]);
  expect(plan.out).toMatch(/from disk: a {2}\S+a\.ts {2}[0-9a-f]{64}\n/);
  expect(plan.out).toMatch(/from disk: b {2}\S+b\.ts\n/);
  expect(await proxy.stop()).toBe(0);
});

test("lock without a directory says which key to set", async () => {
  const file = join(makeDir(), "config.yaml");
  writeFileSync(file, "{}");
  const { code, err } = await runBinary(["policies", "lock", "--config", file]);
  expect(err).toContain("policies.dir");
  expect(code).toBe(78);
});

test("a broken edit keeps the policy before it; a good one is live at once", async () => {
  const refuse = policyOf("request: () => ({ deny: 'not_allowed' })");
  const proxy = await start({ "a.ts": good });
  write(proxy.dir, { "a.ts": "nonsense (" });
  await until("rejected", () => proxy.stderr().includes("reload rejected"));
  expect(await (await fetch(`${proxy.url}/readyz`)).text()).toContain("rejected");
  expect(await codeOf(await ask(proxy))).toBe("ok");
  write(proxy.dir, { "a.ts": refuse });
  await until("refused", async () => (await codeOf(await ask(proxy))) === "not_allowed");
  write(proxy.dir, { "b.ts": good });
  await until("a new one", () => proxy.stderr().match(/"msg":"reloaded"/g)?.length === 2);
  expect(await proxy.stop()).toBe(0);
});

test("shadow mode counts and refuses nothing", async () => {
  const refuse = policyOf("request: () => ({ deny: 'not_allowed' })");
  const proxy = await start({ "a.ts": refuse }, { a: { mode: "shadow" } });
  expect(await codeOf(await ask(proxy))).toBe("ok");
  expect(await proxy.stop()).toBe(0);
});

test("without isolation it runs in the house: a throw still closes", async () => {
  const hooks =
    'request(x) { if (x.header("x-fault")) throw new Error("planted"); return "pass"; }';
  const proxy = await start({ "a.ts": policyOf(hooks) }, { a: { isolate: "none" } });
  expect(await codeOf(await ask(proxy))).toBe("ok");
  expect(await codeOf(await ask(proxy, { "x-fault": "1" }))).toBe("policy_fault");
  expect(await codeOf(await ask(proxy))).toBe("ok");
  expect(await proxy.stop()).toBe(0);
});
