import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { makeDir, needBinary, type RunningProxy, runBinary, startProxy } from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { errorReply, html500, leaky400, leaky401, resetMidStream } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";

/**
 * Secrets of which none may ever be seen. Each input below plants one, each output is searched for
 * all. A new input: plant one more. A new output: one more line in `outputs`.
 */
const canaries = {
  clientKey: "cpk_canary-Cl1Kq7Zx9Vb3Nm5Ty8",
  providerKey: "sk-canary-Pr2Wd6Ex0Jg4Hu7Ls1",
  otherProviderKey: "plaincanaryOp3Rt8Yn2Mk6Gb",
  fileKey: "plaincanaryFk4Zq9Lw1Xc7Vd",
  wrongKey: "plaincanaryWk5Hj3Pa8Sf2Te",
  wrongApiKey: "plaincanaryWa6Bn4Qe9Rg1Yu",
  wrongGoogleKey: "plaincanaryWg7Cm5Dw0Xi3Zo",
  basic: "plaincanaryBa8Dk6Fv2Ul4Ap",
  cookie: "plaincanaryCo9El7Gx3Vm5Bq",
  header: "plaincanaryHe0Fj8Hy4Wn6Cr",
  query: "plaincanaryQu1Gi9Jz5Xo7Ds",
  pathToken: "sk-canary-Pa2Hh0Ka6Yp8Et3Ni7",
  prompt: "plaincanaryPm3Ji1Lb7Zq9Fu",
  reply: "plaincanaryRe4Kh2Mc8Ar0Gv",
  brokenBody: "plaincanaryBb5Lg3Nd9Bs1Hw",
  model: "sk-canary-Mo6Mf4Oe0Ct2Ix8Jk5",
  managementKey: "cpm_canary-Mk7Nh2Pf9Du3Jy6Kl8QwRs4T",
  wrongManagementKey: "plaincanaryWm8Og4Qf1Ev3Kz",
  encryptionKey: createHash("sha256").update("canary").digest("base64"),
  authToken: "plaincanaryAt9Ph5Rg2Fw4La",
  oauthAccess: "plaincanaryOa1Qi6Sh3Gx5Mb",
  oauthRefresh: "plaincanaryOr2Rj7Ti4Hy6Nc",
  refusedToken: "plaincanaryRt3Sk8Uj5Iz7Od",
  brokenAuth: "plaincanaryBa4Tl9Vk6Ja8Pe",
  deniedAddress: "plaincanaryDa5Um1Wl7Kb9Qf",
  plainFile: "plaincanaryPf6Vn2Xm8Lc1Rg",
  brokenFile: "plaincanaryBf7Wo3Yn9Md2Sh",
} as const;

/** Where the client itself may read what it sent or asked for. */
const mayEcho: readonly (keyof typeof canaries)[] = ["reply"];

let upstream: FakeUpstream;
let proxy: RunningProxy;
let home: string;
const answers: string[] = [];

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
  home = makeDir();
  const { clientKey, providerKey, otherProviderKey, fileKey } = canaries;
  const audit = { enabled: true, file: join(home, "logs/audit.log") };
  writeFileSync(join(home, "file.key"), fileKey);
  const models = ["good", "leaky-401", "leaky-400", "html", "cut", "said"];
  proxy = await startProxy({
    config: {
      auth: {
        api_keys: [{ id: "canary", user_id: "canary@example.org", key: clientKey }],
        encryption: { enabled: true, key: canaries.encryptionKey },
      },
      management: { key: canaries.managementKey },
      providers: {
        oai: { protocol: "openai", base_url: upstream.url, api_key: providerKey, models },
        two: {
          protocol: "openai",
          base_url: upstream.url,
          api_key: otherProviderKey,
          models: ["x"],
        },
        ant: {
          protocol: "claude",
          base_url: upstream.url,
          api_key_file: join(home, "file.key"),
          models: ["claude-401"],
        },
      },
      metrics: { enabled: true, port: 0 },
      logging: { level: "debug", audit },
    },
    prepare(dir) {
      const auths = join(dir, "auths");
      mkdirSync(auths, { mode: 0o700 });
      const plain = { type: "api_key", token: canaries.plainFile };
      writeFileSync(join(auths, "ant-spare.json"), JSON.stringify(plain), { mode: 0o600 });
      const broken = `{"type": "api_key", "token": "${canaries.brokenFile}`;
      writeFileSync(join(auths, "two-broken.json"), broken, { mode: 0o600 });
    },
  });
  const said = JSON.stringify({ error: { message: `denied: ${canaries.providerKey}` } });
  upstream
    .on("leaky-401", leaky401)
    .on("leaky-400", leaky400)
    .on("claude-401", leaky401)
    .on("html", html500)
    .on("said", errorReply(500, said))
    .on("cut", resetMidStream)
    .on("x", leaky401);
  await plant();
});
afterAll(cleanUp);

/** Sends what holds a secret to every input, and keeps what comes back. */
async function plant(): Promise<void> {
  const good = `Bearer ${canaries.clientKey}`;
  const chat = (model: string, more: object = {}, headers: Record<string, string> = {}) =>
    keep(
      proxy.post(
        "/v1/chat/completions",
        { model, messages: [{ role: "user", content: canaries.prompt }], ...more },
        { headers: { authorization: good, ...headers } },
      ),
    );
  for (const model of ["good", "leaky-401", "leaky-400", "html", "said", "x"]) await chat(model);
  await chat("cut", { stream: true });
  await chat(canaries.model);
  await chat("good", {}, { "x-secret": canaries.header, cookie: `s=${canaries.cookie}` });
  const anthropic = { model: "claude-401", max_tokens: 5, messages: [] };
  await keep(proxy.post("/v1/messages", anthropic, { headers: { authorization: good } }));
  const broken = `{"model": "good", "x": "${canaries.brokenBody}", "x": nonsense`;
  await keep(proxy.post("/v1/chat/completions", broken, { headers: { authorization: good } }));
  // More failures than are free, so that the lockout and its event are reached.
  for (let i = 0; i < 12; i++) {
    await get("/v1/models", { authorization: `Bearer ${canaries.wrongKey}` });
  }
  await get("/v1/models", { authorization: "", "x-api-key": canaries.wrongApiKey });
  await get("/v1/models", { authorization: "", "x-goog-api-key": canaries.wrongGoogleKey });
  const basic = Buffer.from(`user:${canaries.basic}`).toString("base64");
  await get("/v1/models", { authorization: `Basic ${basic}` });
  await get(`/v1/models?key=${canaries.query}&token=${canaries.query}`, { authorization: "" });
  await get(`/v1/models/${canaries.pathToken}`, { authorization: good });
  await get(`/nowhere/${canaries.pathToken}/..%2f`, { authorization: good });
  await get("/v1/models", { authorization: good, host: "evil.example" });
  await raw([["authorization", `Bearer ${canaries.wrongKey}, Bearer ${canaries.clientKey}`]]);
  await plantByManagement();
  // A reload that is refused, with a secret in what is wrong.
  const config = readFileSync(proxy.configFile, "utf8");
  const key = `"${canaries.otherProviderKey}"`;
  expect(config).toContain(key);
  writeFileSync(proxy.configFile, config.replace(key, `[${key}]`));
  proxy.signal("SIGHUP");
  await until("the rejected reload", () => proxy.stderr().includes("reload rejected"));
  writeFileSync(proxy.configFile, config);
  proxy.signal("SIGHUP");
  await until("the good reload", () => proxy.stderr().includes('"reloaded"'));
}

/** Answers of the management API to what changes the house. */
const managed: string[] = [];

async function manage(method: string, path: string, body?: unknown): Promise<number> {
  const reply = await fetch(`${proxy.url}/v0/management${path}`, {
    method,
    headers: {
      authorization: `Bearer ${canaries.managementKey}`,
      "content-type": "application/json",
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  managed.push(`${reply.status} ${JSON.stringify([...reply.headers])} ${await reply.text()}`);
  return reply.status;
}

const addedAddress = "203.0.113.77";

async function plantByManagement(): Promise<void> {
  const { wrongManagementKey, authToken, oauthAccess, oauthRefresh, refusedToken } = canaries;
  await keep(
    fetch(`${proxy.url}/v0/management/auths`, {
      headers: { "x-management-key": wrongManagementKey },
    }),
  );
  const plain = { provider: "two", id: "canary", type: "api_key", token: authToken };
  expect(await manage("POST", "/auths", plain)).toBe(201);
  const oauth = { provider: "two", id: "oauth", type: "oauth", access_token: oauthAccess };
  expect(await manage("POST", "/auths", { ...oauth, refresh_token: oauthRefresh })).toBeLessThan(
    500,
  );
  expect(await manage("POST", "/auths", { ...oauth, id: "oauth-2" })).toBe(201);
  for (const wrong of [
    { ...plain, provider: "nobody", token: refusedToken },
    { ...plain, tokne: refusedToken },
    { ...plain, [refusedToken]: 1 },
    { ...plain, token: [refusedToken] },
    { ...plain, type: refusedToken },
    { ...plain, priority: refusedToken },
    `{"provider": "two", "token": "${canaries.brokenAuth}`,
  ]) {
    expect(await manage("POST", "/auths", wrong)).toBeGreaterThanOrEqual(400);
  }
  const list = "/security/ip-denylist";
  const { deniedAddress } = canaries;
  expect(await manage("POST", list, { ip: deniedAddress })).toBeGreaterThanOrEqual(400);
  expect(
    await manage("POST", list, { ip: addedAddress, expires_in: deniedAddress }),
  ).toBeGreaterThanOrEqual(400);
  expect(await manage("POST", list, { ip: addedAddress, reason: "abuse" })).toBe(201);
  for (const path of ["/auths", list, "/status", "/policies", "/usage"]) await manage("GET", path);
  await manage("DELETE", "/auths/two/oauth-2");
}

async function keep(sent: Promise<Response>): Promise<void> {
  const answer = await sent;
  const text = await answer.text().catch(() => "");
  answers.push(`${answer.status} ${JSON.stringify([...answer.headers])} ${text}`);
}

function get(path: string, headers: Record<string, string>): Promise<void> {
  return keep(proxy.get(path, { headers }));
}

async function raw(headers: readonly (readonly [string, string])[]): Promise<void> {
  const client = await openRaw(proxy.url);
  client.send(requestBytes("GET", "/v1/models", headers));
  answers.push(await client.read((text) => text.includes("\r\n\r\n")));
  client.close();
}

/** Every file below a directory, but those that are meant to hold secrets. */
function filesBelow(dir: string, meant: ReadonlySet<string>): string {
  return readdirSync(dir)
    .map((name) => join(dir, name))
    .filter((path) => !meant.has(path))
    .map((path) =>
      statSync(path).isDirectory() ? filesBelow(path, meant) : readFileSync(path, "latin1"),
    )
    .join("\n");
}

/** Everything that leaves the house. */
async function outputs(): Promise<Readonly<Record<string, string>>> {
  const metrics = await (await fetch(proxy.greeting.listeners.metrics ?? "")).text();
  const plan = await runBinary(["policies", "plan", "--json", "--config", proxy.configFile]);
  const check = await runBinary(["check", "--json", "--config", proxy.configFile]);
  const verify = await runBinary(["audit", "verify", "--json", "--config", proxy.configFile]);
  const doctor = await runBinary(["doctor", "--json", "--config", proxy.configFile]);
  const live = filesBelow(join(proxy.dir, "cwd", "state"), new Set());
  expect(readdirSync(join(proxy.dir, "cwd", "state")).some((n) => n.endsWith("-wal"))).toBe(true);
  expect(live).toContain(addedAddress);
  await proxy.stop();
  const meant = new Set([
    ...[join(home, "file.key"), proxy.configFile],
    ...["ant-spare.json", "two-broken.json"].map((name) => join(proxy.authDir, name)),
  ]);
  return {
    metrics,
    "standard output": proxy.stdout(),
    "operational log": proxy.stderr(),
    "audit log": readFileSync(join(home, "logs/audit.log"), "utf8"),
    "files of state": filesBelow(home, meant) + filesBelow(proxy.dir, meant),
    "policies plan": plan.out + plan.err,
    check: check.out + check.err,
    "audit verify": verify.out + verify.err,
    doctor: doctor.out + doctor.err,
    "the state while it runs": live,
    "answers of the management API": managed.join("\n"),
    "answers to clients": answers.join("\n"),
  };
}

test("no secret that was planted in an input is in an output", async () => {
  const found: string[] = [];
  const all = await outputs();
  for (const [output, text] of Object.entries(all)) {
    // An empty output proves nothing.
    expect([output, text.length > 20]).toEqual([output, true]);
    for (const [name, canary] of Object.entries(canaries)) {
      if (mayEcho.includes(name as keyof typeof canaries)) continue;
      // In other spellings, too: the beginning of a key is a part of it.
      const forms = [canary, encodeURIComponent(canary), btoa(canary), canary.slice(0, 20)];
      if (forms.some((form) => text.includes(form))) found.push(`${name} in ${output}`);
    }
  }
  expect(found).toEqual([]);
});

test("the secrets did reach what they were planted in", () => {
  const sent = JSON.stringify(upstream.received.map(({ headers }) => headers));
  expect(readdirSync(proxy.authDir)).toContain("two-canary.json");
  for (const key of [canaries.providerKey, canaries.otherProviderKey, canaries.fileKey]) {
    expect(sent).toContain(key);
  }
  const bodies = upstream.received.map((r) => JSON.stringify(r.json)).join("\n");
  expect(bodies).toContain(canaries.prompt);
  expect(sent).not.toContain(canaries.clientKey);
});
