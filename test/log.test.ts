import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Secret } from "../src/kit/secret.ts";
import {
  createLogger,
  type LogFormat,
  type LogLevel,
  lineBytes,
  silentLogger,
} from "../src/log.ts";

function capture(level: LogLevel = "debug", format: LogFormat = "json") {
  const lines: string[] = [];
  const clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) };
  const log = createLogger({ level, format, clock, write: (line) => lines.push(line) });
  return { log, lines };
}

describe("JSON lines", () => {
  test("time, level, name, message, fields", () => {
    const { log, lines } = capture();
    log.info("listening", { port: 8317 });
    log.child("auth").warn("slow");
    log.child("a").child("b").error("x");
    expect(lines).toEqual([
      '{"time":"2026-01-02T03:04:05.006Z","level":"info","name":"cliproxy","msg":"listening","port":8317}',
      '{"time":"2026-01-02T03:04:05.006Z","level":"warn","name":"auth","msg":"slow"}',
      '{"time":"2026-01-02T03:04:05.006Z","level":"error","name":"b","msg":"x"}',
    ]);
  });

  test("a field can't pass for time, level, name or msg", () => {
    const { log, lines } = capture();
    log.info("a", { level: "error", msg: "b", _logMeta: 1 });
    expect(lines[0]).toEndWith('"msg":"a","level_":"error","msg_":"b","_logMeta":1}');
  });

  test("no line break, terminal sequence or reading direction gets through", () => {
    for (const format of ["json", "pretty"] as const) {
      const { log, lines } = capture("debug", format);
      const evil = 'a\n{"level":"info"}\r\u001b[2J\u2028\u2029\u0085\u202eb\u0000';
      log.child(evil).info(evil, { [evil]: evil, list: [evil], error: new Error(evil) });
      expect(lines).toHaveLength(1);
      expect(lines[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
      if (format === "json") expect(JSON.parse(lines[0] ?? "").msg).toBe(evil);
    }
  });

  test("a line has a limit; what does not fit is counted, and the line stays JSON", () => {
    const { log, lines } = capture();
    const big = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`f${i}`, "é".repeat(900)]),
    );
    log.info("\u0001".repeat(5000), { ...big, last: 1 });
    const line = lines[0] ?? "";
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(lineBytes);
    const { dropped_fields: dropped, last } = JSON.parse(line);
    expect(dropped).toBeGreaterThan(30);
    expect(last).toBe(1);
  });
});

describe("pretty lines", () => {
  test("one line, fields as name=value", () => {
    const { log, lines } = capture("debug", "pretty");
    log.child("server").warn("slow start", { ms: 12, file: "a b", path: "/x" });
    expect(lines).toEqual(['03:04:05.006 WARN  server: slow start ms=12 file="a b" path=/x']);
  });
});

describe("levels", () => {
  const cases: readonly (readonly [LogLevel, number])[] = [
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
    ["off", 0],
  ];
  test.each(cases)("%s lets %i of four through", (level, expected) => {
    const { log, lines } = capture(level);
    for (const told of ["debug", "info", "warn", "error"] as const) log[told]("x");
    expect(lines).toHaveLength(expected);
  });

  test("the level and the form may change while it is written to", () => {
    let level: LogLevel = "off";
    let format: LogFormat = "json";
    const lines: string[] = [];
    const log = createLogger({
      level: () => level,
      format: () => format,
      write: (l) => lines.push(l),
    });
    const child = log.child("c");
    child.info("one");
    level = "info";
    child.info("two");
    format = "pretty";
    child.info("three");
    expect(lines.map((line) => line[0])).toEqual(["{", expect.stringMatching(/\d/)]);
  });

  test("below its level nothing is touched", () => {
    const { log } = capture("error");
    log.info("x", {
      get boom(): never {
        throw new Error("was read");
      },
    });
    silentLogger.child("x").error("y");
  });
});

describe("hostile", () => {
  test("a write that throws does not reach the caller", () => {
    const log = createLogger({
      level: "info",
      format: "json",
      write() {
        throw new Error("EPIPE");
      },
    });
    expect(() => log.error("x")).not.toThrow();
  });

  test("messages that are no strings", () => {
    const { log, lines } = capture();
    log.info(undefined as never, null as never);
    log.info({ key: "hunter2" } as never, "text" as never);
    log.info((() => "hunter2") as never, [1] as never);
    expect(lines).toHaveLength(3);
    for (const line of lines) JSON.parse(line);
  });
});

describe("canaries", () => {
  const body = fc.string({
    unit: fc.constantFrom(..."abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"),
    minLength: 24,
    maxLength: 60,
  });
  const shaped = fc.tuple(
    fc.constantFrom(
      "sk-",
      "sk-ant-api03-",
      "cpk_",
      "AIza",
      "ghp_",
      "Bearer ",
      "eyJhbGciOi.",
      "x-api-key: ",
    ),
    body,
  );
  const around = fc.string({ maxLength: 20 });
  /** Where a secret may be, by how it is planted. */
  const planted = fc.oneof(
    shaped.chain(([prefix, secret]) =>
      fc
        .tuple(around, around)
        .map(([a, b]) => ({ secret, value: `${a} ${prefix}${secret} ${b}` as unknown })),
    ),
    body.map((secret) => ({ secret, value: new Secret(secret) as unknown })),
    body.map((secret) => ({ secret, value: new TextEncoder().encode(secret) as unknown })),
    body.chain((secret) =>
      fc
        .constantFrom(
          "key",
          "apiKey",
          "access_token",
          "PASSWORD",
          "x-api-key",
          "Cookie",
          "credential",
          "tokens",
        )
        .map((name) => ({
          secret,
          value: { [name]: name === "tokens" ? [secret] : secret } as unknown,
        })),
    ),
    shaped.map(([prefix, secret]) => ({ secret, value: { [prefix + secret]: 1 } as unknown })),
    shaped.map(([prefix, secret]) => ({
      secret,
      value: new Error(`failed with ${prefix}${secret}`, {
        cause: `${prefix}${secret}`,
      }) as unknown,
    })),
  );
  const nested = fc
    .tuple(planted, fc.array(fc.nat(5), { maxLength: 5 }))
    .map(([{ secret, value }, way]) => {
      const wrappers = [
        (inner: unknown) => ({ inner }),
        (inner: unknown) => [0, inner],
        (inner: unknown) => new Map([["m", inner]]),
        (inner: unknown) => new Error("outer", { cause: inner }),
        (inner: unknown) => ({ toJSON: () => ({ inner }) }),
        (inner: unknown) =>
          Object.assign(Object.create({ proto: 1 }), { inner, more: "x".repeat(2000) }),
      ];
      const fields = way.reduce((inner: unknown, i) => wrappers[i]?.(inner), value);
      return { secret, fields };
    });

  test("a secret planted anywhere never appears in the line", () => {
    fc.assert(
      fc.property(
        nested,
        fc.constantFrom("json" as const, "pretty" as const),
        ({ secret, fields }, format) => {
          const { log, lines } = capture("debug", format);
          log.error("planted", { fields });
          const text = typeof fields === "string" ? fields : "plain";
          log.child(text).warn(text);
          expect(lines).toHaveLength(2);
          for (const line of lines) expect(line).not.toContain(secret.slice(0, 12));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
