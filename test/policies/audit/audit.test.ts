import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { policy } from "../../../policies/audit/index.ts";
import type { Hooks, Policy, SecurityEvent } from "../../../src/contract/policy.ts";
import {
  createStubHost,
  createStubHouse,
  type StubHost,
  startExchange,
} from "../../harness/stubs.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-audit-"));
  dirs.push(dir);
  return dir;
}

function hostIn(dir: string, serving = true): StubHost {
  return createStubHost({ authDir: join(dir, "auths"), serving });
}

async function create(config: object, host: StubHost): Promise<Hooks | undefined> {
  const settings = v.parse(policy.config.schema, config);
  return (policy as unknown as Policy).create(settings, host);
}

async function start(dir: string, more: object = {}, host = hostIn(dir)): Promise<Hooks> {
  const hooks = await create({ enabled: true, file: join(dir, "logs/audit.log"), ...more }, host);
  if (hooks === undefined) throw new Error("not enabled");
  hooks.adopted?.();
  return hooks;
}

function records(dir: string): Record<string, unknown>[] {
  const text = readFileSync(join(dir, "logs/audit.log"), "utf8");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

const failure: SecurityEvent = {
  type: "auth_failure",
  result: "invalid_token",
  provider: "claude",
  ip: "192.0.2.1",
};
const change: SecurityEvent = { type: "config_change", result: "applied" };

describe("configuration", () => {
  const parse = (config: object) => v.safeParse(policy.config.schema, config).success;
  const cases: readonly (readonly [name: string, config: object, good: boolean])[] = [
    ["the guide's block", { enabled: true, file: "/logs/audit.log", format: "json" }, true],
    ["all events", { events: ["auth_success", "suspicious_activity", "token_refresh"] }, true],
    ["an unknown event", { events: ["auth_succes"] }, false],
    ["no event", { events: [] }, false],
    ["another format", { format: "csv" }, false],
    ["a size", { maxSize: "10MiB" }, true],
    ["no size", { maxSize: 0 }, false],
    ["daily", { rotate: "daily", keep: 7 }, true],
    ["hourly", { rotate: "hourly" }, false],
    ["keep none", { keep: 0 }, false],
    ["an unknown key", { fsync: true }, false],
  ];
  test.each(cases)("%s", (_name, config, good) => {
    expect(parse(config)).toBe(good);
  });

  test("off unless it is enabled", async () => {
    expect(await create({ file: "/x/audit.log" }, createStubHost())).toBeUndefined();
  });

  const wrong: readonly (readonly [
    name: string,
    prepare: (dir: string) => string | undefined,
    message: RegExp,
  ])[] = [
    ["no file", () => undefined, /is needed/],
    ["in auth.dir", (dir) => join(dir, "auths/x/audit.log"), /is in auth\.dir/],
    [
      "a symbolic link",
      (dir) => {
        symlinkSync("/dev/null", join(dir, "audit.log"));
        return join(dir, "audit.log");
      },
      /ELOOP .*owner \d+:\d+, mode \d{4}; this runs as uid \d+/,
    ],
    ["a directory", (dir) => dir, /EISDIR/],
    [
      "below a file",
      (dir) => {
        writeFileSync(join(dir, "file"), "");
        return join(dir, "file/audit.log");
      },
      /(?:ENOTDIR|EEXIST) .*owner/,
    ],
  ];
  test.each(wrong)("%s is a fault at its key", async (_name, prepare, message) => {
    const dir = makeDir();
    const file = prepare(dir);
    const config = { enabled: true, ...(file !== undefined && { file }) };
    const fault = await create(config, hostIn(dir)).then(
      () => undefined,
      (error: Error & { configPath?: string; mend?: string }) => error,
    );
    expect(fault?.message).toMatch(message);
    expect(fault?.configPath).toBe("logging.audit.file");
    expect(fault?.mend).not.toBe("");
  });

  test("check makes nothing", async () => {
    const dir = makeDir();
    const config = { enabled: true, file: join(dir, "logs/audit.log") };
    expect(await create(config, hostIn(dir, false))).toEqual({});
    expect(() => statSync(join(dir, "logs"))).toThrow();
  });

  test("a key file that holds no key is a fault, and is not shown", async () => {
    const dir = makeDir();
    mkdirSync(join(dir, "auths"));
    writeFileSync(join(dir, "auths/audit.key"), "not-a-key-but-secret", { mode: 0o600 });
    const fault = await start(dir).catch((error: Error) => error);
    expect(String(fault)).toContain("holds no audit key");
    expect(String(fault)).not.toContain("but-secret");
  });
});

describe("the key file", () => {
  const modes: readonly (readonly [mode: number, good: boolean])[] = [
    [0o600, true],
    [0o400, true],
    [0o440, true],
    [0o644, false],
    [0o620, false],
  ];
  test.each(modes)("mode %i: %p", async (mode, good) => {
    const dir = makeDir();
    await (await start(dir)).dispose?.();
    chmodSync(join(dir, "auths/audit.key"), mode);
    const again = await start(dir).catch((error: { configPath?: string }) => error.configPath);
    expect(typeof again === "string" ? again : undefined).toBe(good ? undefined : "auth.dir");
    if (typeof again === "object") await again.dispose?.();
  });
});

describe("files", () => {
  test("the log, its checkpoints and its key are for their owner only", async () => {
    const dir = makeDir();
    const hooks = await start(dir);
    hooks.event?.(failure);
    await hooks.dispose?.();
    for (const file of ["logs/audit.log", "logs/audit.log.checkpoints", "auths/audit.key"]) {
      expect([file, statSync(join(dir, file)).mode & 0o777]).toEqual([file, 0o600]);
    }
    expect(statSync(join(dir, "logs")).mode & 0o777).toBe(0o700);
  });

  test("a file that others may write to is closed to them", async () => {
    const dir = makeDir();
    mkdirSync(join(dir, "logs"));
    writeFileSync(join(dir, "logs/audit.log"), "");
    chmodSync(join(dir, "logs/audit.log"), 0o666);
    await (await start(dir)).dispose?.();
    expect(statSync(join(dir, "logs/audit.log")).mode & 0o777).toBe(0o644);
  });
});

describe("what is recorded", () => {
  test("a change of the configuration is on the disk at once", async () => {
    const dir = makeDir();
    const hooks = await start(dir);
    hooks.event?.(failure);
    expect(records(dir)).toEqual([]);
    hooks.event?.(change);
    expect(records(dir).map((r) => r.event_type)).toEqual(["auth_failure", "config_change"]);
    await hooks.dispose?.();
  });

  test("an attempt, with what it cost, and nothing of what was said", async () => {
    const dir = makeDir();
    const hooks = await start(dir);
    const x = startExchange(createStubHouse(), { peer: "192.0.2.7" });
    x.principal = { keyId: "alice", userId: "alice@example.org" };
    const usage = { inputTokens: 5, outputTokens: 7, cachedTokens: 0, reasoningTokens: 0 };
    hooks.attemptEnd?.(
      x,
      { index: 1, provider: "claude", credentialId: "one", model: "claude-x" },
      { kind: "ok", status: 200, usage, bytes: 99, durationMs: 12.4 },
    );
    await hooks.dispose?.();
    expect(records(dir)).toMatchObject([
      {
        event_type: "provider_request",
        provider: "claude",
        user_id: "alice@example.org",
        ip: "192.0.2.7",
        result: "ok",
        details: {
          ...{ surface: "chat", model: "claude-x", status: 200, attempt: 1, credential: "one" },
          ...{ input_tokens: 5, output_tokens: 7, bytes: 99, duration_ms: 12 },
        },
        request_id: x.id,
      },
    ]);
  });

  test("only the events that are wanted", async () => {
    const dir = makeDir();
    const some = await start(dir, { events: ["auth_failure"] });
    expect([some.hears, some.attemptEnd]).toEqual([["auth_failure"], undefined]);
    await some.dispose?.();
    const others = await start(makeDir(), { events: ["provider_request", "config_change"] });
    expect(others.hears).toEqual(["config_change"]);
    expect(others.attemptEnd).toBeFunction();
    await others.dispose?.();
  });

  test("a flood is sampled, and its count is told at the end", async () => {
    const dir = makeDir();
    const hooks = await start(dir);
    for (let i = 0; i < 1000; i++) hooks.event?.(failure);
    for (let i = 0; i < 1000; i++) hooks.event?.({ type: "auth_success", result: "success" });
    await hooks.dispose?.();
    const all = records(dir);
    const failures = all.filter((r) => r.event_type === "auth_failure");
    expect(failures).toHaveLength(61);
    expect(failures.at(-1)).toMatchObject({ result: "repeated", details: { count: 940 } });
    expect(all.filter((r) => r.event_type === "auth_success")).toHaveLength(1000);
  });
});

describe("generations", () => {
  test("share one log; the last one closes it", async () => {
    const dir = makeDir();
    const host = hostIn(dir);
    const first = await start(dir, {}, host);
    first.event?.(failure);
    const second = await start(dir, {}, host);
    await first.dispose?.();
    second.event?.(change);
    first.attemptEnd?.(
      startExchange(createStubHouse()),
      { index: 0, provider: "p", credentialId: "", model: "m" },
      { kind: "ok", status: 200, usage: undefined, bytes: 0, durationMs: 0 },
    );
    await second.dispose?.();
    expect(records(dir).map((r) => [r.seq, r.event_type])).toEqual([
      [1, "auth_failure"],
      [2, "config_change"],
      [3, "provider_request"],
    ]);
  });

  test("a rejected one changes nothing", async () => {
    const dir = makeDir();
    const host = hostIn(dir);
    const first = await start(dir, {}, host);
    const file = join(dir, "logs/audit.log");
    const rejected = await create({ enabled: true, file, maxSize: 1 }, host);
    await rejected?.dispose?.();
    for (let i = 0; i < 3; i++) first.event?.(change);
    await first.dispose?.();
    expect(records(dir)).toHaveLength(3);
  });

  test("an adopted one looks where the file is", async () => {
    const dir = makeDir();
    const host = hostIn(dir);
    const first = await start(dir, {}, host);
    first.event?.(change);
    renameSync(join(dir, "logs/audit.log"), join(dir, "logs/audit.log.1"));
    const second = await start(dir, {}, host);
    expect(records(dir)).toEqual([]);
    await first.dispose?.();
    await second.dispose?.();
  });
});

describe("a log that can't be written", () => {
  /** A directory in the file's place: neither can be opened any more. */
  async function broken(required: boolean, dir = makeDir()) {
    const hooks = await start(dir, { required });
    const file = join(dir, "logs/audit.log");
    renameSync(file, `${file}.old`);
    mkdirSync(file);
    return { hooks, mend: () => rmSync(file, { recursive: true }) };
  }
  const chat = () => startExchange(createStubHouse());
  const admin = (method: string) =>
    startExchange(createStubHouse(), {
      ...{ surface: "admin", method },
      ...(method !== "GET" && { body: "{}" }),
    });
  const unavailable = { deny: "audit_unavailable", retryAfterSeconds: 1 } as const;

  test("required: refuses from the first failed write, and serves once it can be written", async () => {
    const { hooks, mend } = await broken(true);
    expect(hooks.request?.(chat())).toBe("pass");
    hooks.event?.(change);
    expect(hooks.request?.(chat())).toEqual(unavailable);
    expect(hooks.request?.(admin("GET"))).toEqual(unavailable);
    mend();
    hooks.event?.(change);
    expect(hooks.request?.(chat())).toBe("pass");
    await hooks.dispose?.();
  });

  test("not required: serves, but changes nothing that it could not record", async () => {
    const { hooks, mend } = await broken(false);
    expect(hooks.request?.(admin("POST"))).toEqual(unavailable);
    expect(hooks.request?.(chat())).toBe("pass");
    expect(hooks.request?.(admin("GET"))).toBe("pass");
    mend();
    expect(hooks.request?.(admin("DELETE"))).toBe("pass");
    await hooks.dispose?.();
  });

  test("an admin write whose record failed is not answered as done", async () => {
    const { hooks, mend } = await broken(false);
    hooks.event?.(change);
    const head = { status: 200, headers: {}, stream: false, code: undefined };
    expect(hooks.response?.(admin("PUT"), head)).toEqual(unavailable);
    expect(hooks.response?.(chat(), head)).toBe("pass");
    mend();
    await hooks.dispose?.();
  });

  test("gauges say so, and a gap record follows", async () => {
    const dir = makeDir();
    const host = hostIn(dir);
    const hooks = await start(dir, {}, host);
    const read = (name: string): number => {
      let last = Number.NaN;
      host
        .gauges()
        .find((g) => g.name === `cliproxy_audit_${name}`)
        ?.read((value) => {
          last = value;
        });
      return last;
    };
    expect(read("writable")).toBe(1);
    const file = join(dir, "logs/audit.log");
    renameSync(file, `${file}.old`);
    mkdirSync(file);
    hooks.event?.(change);
    expect([read("writable"), read("queue_records"), read("write_failures_total")]).toEqual([
      0, 1, 1,
    ]);
    rmSync(file, { recursive: true });
    hooks.event?.(change);
    expect([read("writable"), read("queue_records"), read("records_total")]).toEqual([1, 0, 3]);
    await hooks.dispose?.();
    expect(records(dir).map((r) => r.result)).toEqual(["applied", "applied", "gap"]);
  });
});
