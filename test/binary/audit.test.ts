import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { startOnFullDisk } from "../harness/full-disk.ts";
import {
  clientKey,
  makeDir,
  needBinary,
  type ProxyOptions,
  type RunningProxy,
  runBinary,
  startProxy,
} from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

beforeAll(needBinary);
afterAll(cleanUp);

type Record_ = { readonly [name: string]: unknown } & {
  readonly seq: number;
  readonly event_type: string;
  readonly result: string;
  readonly details: { readonly [name: string]: unknown };
};

interface Audited {
  readonly proxy: RunningProxy;
  readonly file: string;
  records(file?: string): Record_[];
  /** Waits for a record, and returns it. */
  recorded(type: string, result?: string): Promise<Record_>;
  verify(...args: string[]): Promise<{ code: number; out: string; err: string }>;
  fail(): Promise<number>;
  chat(): Promise<Response>;
}

/** A proxy that writes an audit log into a directory of its own. */
async function startAudited(
  audit: Record<string, unknown> = {},
  options: ProxyOptions & { readonly home?: string } = {},
): Promise<Audited> {
  const home = options.home ?? makeDir();
  const file = join(home, "logs/audit.log");
  const logging = { audit: { enabled: true, file, format: "json", ...audit } };
  const auth = { dir: join(home, "auths") };
  const config = { logging, auth, ...options.config };
  return auditedOf(await startProxy({ ...options, config }), file);
}

/** @param log where a test can read the file, if that is elsewhere */
function auditedOf(proxy: RunningProxy, file: string, log: string = file): Audited {
  const records = (path = log): Record_[] =>
    readFileSync(path, "utf8")
      .split("\n")
      .flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record_]));
  return {
    ...{ proxy, file, records },
    async recorded(type, result) {
      let found: Record_ | undefined;
      await until(`a record of ${type}`, () => {
        const all = existsSync(log) ? records() : [];
        found = all.findLast(
          (r) => r.event_type === type && (result === undefined || r.result === result),
        );
        return found !== undefined;
      });
      return found as Record_;
    },
    verify: (...args) => runBinary(["audit", "verify", "--config", proxy.configFile, ...args]),
    async fail() {
      const headers = { authorization: "Bearer wrong" };
      return (await proxy.get("/v1/models", { headers })).status;
    },
    chat: () =>
      proxy.post("/v1/chat/completions", {
        model: "echo",
        messages: [{ role: "user", content: "hello" }],
      }),
  };
}

describe("the log", () => {
  test("holds the guide's record for a failed login", async () => {
    const { recorded, fail } = await startAudited();
    expect(await fail()).toBe(401);
    const record = await recorded("auth_failure");
    expect(Object.keys(record)).toEqual([
      ...["timestamp", "event_type", "provider", "user_id", "ip", "result", "details"],
      ...["request_id", "seq", "prev", "mac"],
    ]);
    expect(record).toMatchObject({
      event_type: "auth_failure",
      provider: "openai",
      ip: "127.0.0.1",
      result: "invalid_token",
      details: { reason: "Unknown token" },
    });
    expect(record.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("the dialect's home is the provider of a failed login", async () => {
    const { proxy, recorded } = await startAudited();
    await proxy.post("/v1/messages", {}, { headers: { authorization: "Bearer wrong" } });
    expect((await recorded("auth_failure")).provider).toBe("claude");
  });

  test("holds who asked which provider for what, and not what was said", async () => {
    const { chat, recorded, file } = await startAudited();
    expect((await chat()).status).toBe(200);
    const request = await recorded("provider_request");
    expect(request).toMatchObject({
      provider: "sandbox",
      user_id: "tester@example.org",
      result: "ok",
      details: { model: "echo", status: 200, surface: "chat", attempt: 0 },
    });
    const login = await recorded("auth_success");
    expect(login).toMatchObject({ result: "success", details: { key_id: "tester" } });
    expect(login.request_id).toBe(request.request_id);
    const text = readFileSync(file, "utf8");
    for (const secret of ["hello", clientKey]) expect(text).not.toContain(secret);
  });

  test("only the events that are named", async () => {
    const { proxy, chat, fail, recorded, records } = await startAudited({
      events: ["config_change", "provider_request"],
    });
    await fail();
    await chat();
    await recorded("provider_request");
    proxy.signal("SIGHUP");
    await recorded("config_change");
    const types = new Set(records().map((r) => r.event_type));
    expect([...types].sort()).toEqual(["config_change", "provider_request"]);
  });

  test("without the key nothing is written", async () => {
    const { file, fail, proxy } = await startAudited({ enabled: false });
    await fail();
    await proxy.stop();
    expect(existsSync(file)).toBe(false);
  });

  test("a reload that is applied, and one that is rejected", async () => {
    const { proxy, recorded } = await startAudited();
    proxy.signal("SIGHUP");
    await recorded("config_change", "applied");
    writeFileSync(proxy.configFile, "{ server: [");
    proxy.signal("SIGHUP");
    await recorded("config_change", "rejected");
  });

  test("guessing keys is suspicious", async () => {
    const { fail, recorded } = await startAudited();
    for (let i = 0; i < 11; i++) await fail();
    expect(await recorded("suspicious_activity")).toMatchObject({
      result: "repeated_auth_failures",
      ip: "127.0.0.1",
    });
  });

  test("a foreign Host is a violation", async () => {
    const { proxy, recorded } = await startAudited();
    await proxy.get("/v1/models", { headers: { host: "evil.example" } });
    expect(await recorded("security_violation")).toMatchObject({
      result: "bad_host",
      details: { host: "evil.example" },
    });
  });

  test("a hundred requests are a few writes", async () => {
    const { chat, records, proxy } = await startAudited({ events: ["provider_request"] });
    const before = writesOf(proxy.pid);
    await Promise.all(Array.from({ length: 100 }, chat));
    await until("100 records", () => records().length === 100);
    // Sockets are written by send(2): only files count here. Bun writes little else.
    expect(writesOf(proxy.pid) - before).toBeLessThan(60);
  });
});

/** Calls of write(2) so far; the kernel does not count those of sockets by send(2). */
function writesOf(pid: number): number {
  return Number(/^syscw: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

describe("files", () => {
  test("belong to their owner only", async () => {
    const { file, fail, proxy } = await startAudited();
    await fail();
    await proxy.stop();
    const key = join(file, "../../auths/audit.key");
    for (const path of [file, `${file}.checkpoints`, key]) {
      expect([path, statSync(path).mode & 0o777]).toEqual([path, 0o600]);
    }
  });

  test("moved as logrotate does, then SIGHUP: a new file, one chain", async () => {
    const { file, fail, proxy, records, recorded, verify } = await startAudited();
    await fail();
    await recorded("auth_failure");
    renameSync(file, `${file}.1`);
    proxy.signal("SIGHUP");
    await recorded("config_change");
    await fail();
    await recorded("auth_failure");
    expect(records(`${file}.1`)).toHaveLength(1);
    expect(records().map((r) => r.seq)).toEqual([2, 3]);
    const { code, out } = await verify();
    expect([code, out]).toEqual([0, "3 records (1 to 3) in 2 files: the chain is whole\n"]);
  });

  test("deleted: a new one with the next record", async () => {
    const { file, fail, records, recorded, verify } = await startAudited();
    await fail();
    await recorded("auth_failure");
    rmSync(file);
    await fail();
    await recorded("auth_failure");
    expect(records().map((r) => r.seq)).toEqual([2]);
    expect((await verify()).code).toBe(1);
  });

  test("rotated by size; the chain goes through all of them", async () => {
    const { file, fail, proxy, verify } = await startAudited({ max_size: "2KiB", keep: 50 });
    const rotated = (): string[] =>
      readdirSync(join(file, "..")).filter((name) => /\.\d{8}T\d{6}Z\.\d+$/.test(name));
    for (let i = 0; i < 40; i++) await fail();
    await until("rotation", async () => {
      await fail();
      return rotated().length > 0;
    });
    for (let i = 0; i < 10; i++) await fail();
    await proxy.stop();
    const { code, out } = await verify();
    expect([code, out]).toEqual([0, expect.stringContaining("the chain is whole")]);
    expect(statSync(join(file, "..", rotated()[0] as string)).mode & 0o777).toBe(0o600);
  });

  test("a restart goes on with the chain", async () => {
    const home = makeDir();
    const first = await startAudited({}, { home });
    await first.fail();
    await first.proxy.stop();
    const second = await startAudited({}, { home });
    await second.fail();
    await second.proxy.stop();
    expect(second.records().map((r) => r.seq)).toEqual([1, 2]);
    expect((await second.verify()).code).toBe(0);
  });

  test("SIGKILL in the middle of a line: the next start mends it, and says so", async () => {
    const home = makeDir();
    const first = await startAudited({}, { home, exitCode: 128 });
    await first.fail();
    await first.recorded("auth_failure");
    process.kill(first.proxy.pid, "SIGKILL");
    await first.proxy.exited;
    writeFileSync(first.file, `${readFileSync(first.file, "utf8")}{"timestamp":"2026-`);
    expect((await first.verify()).out).toContain("the last line is cut off");
    const second = await startAudited({}, { home });
    await second.fail();
    expect(await second.recorded("audit_log", "repaired")).toMatchObject({
      seq: 2,
      details: { cut_bytes: 19 },
    });
    await second.proxy.stop();
    expect((await second.verify()).code).toBe(0);
  });

  test("SIGKILL loses no more than what was not yet written", async () => {
    const home = makeDir();
    const first = await startAudited({}, { home });
    for (let i = 0; i < 5; i++) await first.fail();
    await until("5 records", () => first.records().length === 5);
    process.kill(first.proxy.pid, "SIGKILL");
    await first.proxy.exited;
    expect((await first.verify()).code).toBe(0);
  });

  test("a second signal ends it at once, with everything written", async () => {
    const { proxy, fail, records, verify } = await startAudited();
    const stream = await proxy.post("/v1/chat/completions", {
      ...{ model: "echo-slow", stream: true, max_tokens: 1000 },
      messages: [{ role: "user", content: "a long story" }],
    });
    await fail();
    proxy.signal("SIGTERM");
    proxy.signal("SIGINT");
    await proxy.exited;
    await stream.body?.cancel().catch(() => {});
    expect(records().some((r) => r.event_type === "auth_failure")).toBe(true);
    expect((await verify()).code).toBe(0);
  });
});

describe("start-up errors", () => {
  type Case = readonly [
    name: string,
    audit: (dir: string) => Record<string, unknown>,
    texts: readonly (string | RegExp)[],
  ];
  const cases: readonly Case[] = [
    ["no file", () => ({ enabled: true }), ["logging.audit.file", "is needed"]],
    [
      "an unknown event",
      (dir) => ({ enabled: true, file: join(dir, "a.log"), events: ["auth_succes"] }),
      ["logging.audit.events", "auth_success"],
    ],
    [
      "an unknown key",
      (dir) => ({ enabled: true, file: join(dir, "a.log"), rotation: "daily" }),
      ["rotation", "rotate"],
    ],
    [
      "a symbolic link",
      (dir) => {
        symlinkSync("/dev/null", join(dir, "a.log"));
        return { enabled: true, file: join(dir, "a.log") };
      },
      ["ELOOP", "symbolic link"],
    ],
    ["a device", () => ({ enabled: true, file: "/dev/full" }), ["not a regular file|ENOTREG"]],
  ];
  test.each(cases)("%s", async (_name, audit, texts) => {
    const dir = makeDir();
    const config = join(dir, "c.yaml");
    const auth = { dir: join(dir, "auths") };
    writeFileSync(config, JSON.stringify({ auth, logging: { audit: audit(dir) } }));
    const { code, err } = await runBinary(["serve", "--port", "0", "--config", config]);
    expect([code, err]).toEqual([78, expect.stringContaining("c.yaml:")]);
    for (const text of texts) expect(err).toMatch(new RegExp(text));
  });

  test("no permission: says owner, mode, uid and the mend", () => {
    // Root may write everywhere: the process has to be somebody else, as in a container.
    const dir = makeDir();
    chmodSync(dir, 0o755);
    const logs = join(dir, "logs");
    const auths = join(dir, "auths");
    mkdirSync(logs, { mode: 0o755 });
    mkdirSync(auths, { mode: 0o700 });
    const isRoot = process.getuid?.() === 0;
    const nobody = 65534;
    if (isRoot) chownSync(auths, nobody, nobody);
    else chmodSync(logs, 0o555);
    const config = join(dir, "c.yaml");
    const audit = { enabled: true, file: join(logs, "audit.log") };
    writeFileSync(config, JSON.stringify({ auth: { dir: auths }, logging: { audit } }));
    const binary = join(import.meta.dirname, "../../dist/cliproxy");
    const ran = spawnSync(binary, ["serve", "--port", "0", "--config", config], {
      cwd: dir,
      encoding: "utf8",
      env: { PATH: process.env.PATH ?? "" },
      ...(isRoot && { uid: nobody, gid: nobody }),
    });
    const { uid, gid } = statSync(logs);
    const mode = isRoot ? "0755" : "0555";
    const runsAs = isRoot ? nobody : process.getuid?.();
    expect(ran.status).toBe(78);
    expect(ran.stderr).toContain("logging.audit.file");
    const note = `${logs} has owner ${uid}:${gid}, mode ${mode}; this runs as uid ${runsAs}`;
    expect(ran.stderr).toContain(note);
    expect(ran.stderr).toContain(`chown ${runsAs} ${logs}`);
  });
});

describe("a disk that is full", () => {
  async function startFull(required: boolean) {
    const events = ["auth_failure", "config_change"];
    const metrics = { enabled: true, port: 0 };
    const full = await startOnFullDisk({ required, events }, { metrics });
    const audited = auditedOf(full.proxy, full.file, full.log);
    const metric = async (name: string): Promise<number> => {
      const text = await (await fetch(full.proxy.greeting.listeners.metrics ?? "")).text();
      return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
    };
    await audited.fail();
    await until("the first record", () => audited.records().length === 1);
    return { ...full, ...audited, metric };
  }

  test("required: refuses new traffic, recovers, tells of the gap; the chain is whole", async () => {
    const full = await startFull(true);
    full.fill();
    await until("refusals", async () => {
      await full.fail();
      return (await full.chat()).status === 503;
    });
    const refused = await full.chat();
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({ error: { code: "audit_unavailable" } });
    expect(await full.metric("cliproxy_audit_writable")).toBe(0);
    expect((await full.proxy.get("/readyz")).status).toBe(200);
    full.free();
    await until("recovery", async () => (await full.chat()).status === 200);
    expect(await full.metric("cliproxy_audit_writable")).toBe(1);
    const all = full.records();
    expect(all.some((r) => r.event_type === "audit_log" && r.result === "gap")).toBe(true);
    const key = join(full.file, "../../auths/audit.key");
    const { code } = await runBinary(["audit", "verify", "--key", key, full.log]);
    expect(code).toBe(0);
  });

  test("not required: serves, counts, and tells of the gap", async () => {
    const full = await startFull(false);
    full.fill();
    await until("a failed write", async () => {
      await full.fail();
      return (await full.metric("cliproxy_audit_write_failures_total")) > 0;
    });
    expect((await full.chat()).status).toBe(200);
    expect(full.proxy.stderr()).toContain("audit log can't be written");
    full.free();
    await until("the gap record", () => full.records().some((r) => r.result === "gap"));
    const again = "audit log can be written again";
    await until("the log line", () => full.proxy.stderr().includes(again));
  });
});

describe("audit verify", () => {
  test("pinpoints an edit, a deletion, a swap and a cut", async () => {
    const { file, fail, proxy, verify } = await startAudited();
    for (let i = 0; i < 6; i++) await fail();
    await proxy.stop();
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const at = (n: number): string => lines[n - 1] as string;
    const edited = at(3).replace('"127.0.0.1"', '"127.0.0.9"');
    const cases: readonly (readonly [text: readonly string[], finding: string])[] = [
      [lines.with(2, edited), `${file}:3: this line was changed`],
      [lines.toSpliced(3, 1), `${file}:4: record 4 is missing before this line`],
      [lines.with(1, at(3)).with(2, at(2)), `${file}:3: record 2 stands after record 3`],
      [lines.slice(0, 4), "records 5 to 6 are missing at the end"],
      [lines.slice(1), "record 1 is missing at the start"],
    ];
    for (const [text, finding] of cases) {
      writeFileSync(file, `${text.join("\n")}\n`);
      const { code, out } = await verify();
      expect([code, out]).toEqual([1, expect.stringContaining(finding)]);
    }
    writeFileSync(file, `${lines.join("\n")}\n`);
    expect((await verify()).code).toBe(0);
  });

  test("finds a cut by a checkpoint kept elsewhere, even in the operational log", async () => {
    const { file, fail, proxy, verify } = await startAudited();
    for (let i = 0; i < 3; i++) await fail();
    await proxy.stop();
    const elsewhere = join(proxy.dir, "elsewhere.log");
    writeFileSync(elsewhere, proxy.stderr());
    rmSync(`${file}.checkpoints`);
    const lines = readFileSync(file, "utf8").split("\n");
    writeFileSync(file, `${lines.slice(0, 2).join("\n")}\n`);
    expect((await verify()).code).toBe(0);
    const { code, out } = await verify("--checkpoint", elsewhere, "--json");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ ok: false, findings: [{ kind: "truncated" }] });
  });

  test("another key is told as such", async () => {
    const { file, fail, proxy } = await startAudited();
    await fail();
    await proxy.stop();
    const key = join(proxy.dir, "other.key");
    writeFileSync(key, `${"ab".repeat(32)}\n`);
    const { code, out } = await runBinary(["audit", "verify", "--key", key, file]);
    expect([code, out]).toEqual([1, expect.stringContaining("is it the right one?")]);
  });

  const wrong: readonly (readonly [args: readonly string[], code: number, text: string])[] = [
    [["--key", "/nonexistent.key", "x"], 2, "/nonexistent.key can't be read: ENOENT"],
    [["--config", "/nonexistent.yaml"], 78, "/nonexistent.yaml"],
    [[], 78, "logging.audit.file is not set"],
    [["--nonsense"], 2, "--nonsense"],
  ];
  test.each(wrong)("%p", async (args, code, text) => {
    const ran = await runBinary(["audit", "verify", ...args]);
    expect([ran.code, ran.err]).toEqual([code, expect.stringContaining(text)]);
  });

  test("a file or a checkpoint that is not there is wrong usage, as JSON too", async () => {
    const { fail, proxy, verify } = await startAudited();
    await fail();
    await proxy.stop();
    for (const args of [["/nonexistent.log"], ["--checkpoint", "/nonexistent.txt"]]) {
      const { code, err } = await verify("--json", ...args);
      expect([code, JSON.parse(err)]).toMatchObject([2, { error: { code: "bad_value" } }]);
    }
    const { code, err } = await verify("--checkpoint", proxy.configFile);
    expect([code, err]).toEqual([2, expect.stringContaining("holds no checkpoint")]);
  });
});
