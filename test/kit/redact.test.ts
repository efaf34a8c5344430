import { describe, expect, test } from "bun:test";
import { escapeControls, isSecretField, masked, maskText } from "../../src/kit/redact.ts";
import { redactLimits, redactText, redactValue } from "../../src/kit/redact-value.ts";
import { Secret } from "../../src/kit/secret.ts";

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
const pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END PRIVATE KEY-----";

describe("maskText", () => {
  const cases: readonly (readonly [name: string, text: string, expected: string])[] = [
    ["anthropic", "got sk-ant-api03-abc_DEF-123 back", "got [secret] back"],
    ["openai", "sk-proj-abcdefgh", "[secret]"],
    ["openai, old", "key:sk-abcdEFGH1234", "key:[secret]"],
    ["after a letter", "xsk-abcdefghijklmnop1234567", "x[secret]"],
    ["after an escaped newline", "a\\nsk-abcdEFGH1234", "a\\n[secret]"],
    ["ours", "cpk_4iY-9q8yFz66BXwfFZvIx5fx3hfdzQz-_jl3yjp36GguSYZXA", "[secret]"],
    ["google", "AIzaSyA1234567890abcdefghijklmnopqrstuv", "[secret]"],
    ["github", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret]"],
    ["bearer", "Authorization: Bearer abcdef123456", "Authorization: [secret]"],
    ["bearer alone", "sent Bearer abcdef123456 upstream", "sent Bearer [secret] upstream"],
    ["bearer, encoded", "bearer%20abcdef123456", "bearer%20[secret]"],
    ["basic", "Basic dXNlcjpwYXNzd29yZA== failed", "Basic [secret] failed"],
    ["jwt", `token was ${jwt}.`, "token was [secret]"],
    ["pem", `key\n${pem}\nend`, "key\n[secret]\nend"],
    ["pem cut off", pem.slice(0, 40), "[secret]"],
    ["cookie header", "cookie: a=b; c=d\nhost: x", "cookie: [secret]\nhost: x"],
    ["x-api-key in JSON", '{"x-api-key":"hunter2","n":1}', '{"x-api-key":"[secret]","n":1}'],
    ["password in JSON", '{"password": "hunter2 and more"}', '{"password": "[secret]"}'],
    ["query key", "GET https://h/v1?key=hunter2&alt=sse", "GET https://h/v1?key=[secret]&alt=sse"],
    ["assignment", "api_key=hunter2222 x", "api_key=[secret] x"],
    ["userinfo", "redis://user:hunter2@db:6379/0", "redis://[secret]@db:6379/0"],
    ["disk is no key", "disk-utilisation risk-assessment task-runner", ""],
    ["models", "claude-sonnet-4-5 gpt-4o-mini max_tokens=4096 inputTokens: 5", ""],
    ["digest", "857fadcdfbff6b57763dbb186c2a14734cec4b1c3c9d9a6fee8599af7f0f811a", ""],
    ["prose", "unknown key: server.hots; see the token limit", ""],
    ["path", "/home/a/auths/client.key is not readable", ""],
  ];
  test.each(cases)("%s", (_name, text, expected) => {
    expect(maskText(text)).toBe(expected === "" ? text : expected);
  });

  test("takes no long time for text made to make it slow", () => {
    const parts = [
      "-----BEGIN A-----",
      "bearer ",
      "://a",
      "eyJ.",
      "password=",
      "sk-",
      '"key":"',
      " ",
    ];
    const started = performance.now();
    for (const part of parts) maskText(part.repeat(4096 / part.length));
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("isSecretField", () => {
  const cases: readonly (readonly [name: string, value: unknown, expected: boolean])[] = [
    ["key", "a", true],
    ["apiKey", "a", true],
    ["x-api-key", "a", true],
    ["API_KEY", "a", true],
    ["userAPIKEY", "a", true],
    ["accesstoken", "a", true],
    ["refresh_token", "a", true],
    ["Authorization", "a", true],
    ["set-cookie", "a", true],
    ["credentials", ["a"], true],
    ["tokens", ["a"], true],
    ["passwordHash", "a", true],
    ["key2", "a", true],
    ["tokenIdSecret", "a", true],
    ["ｔｏｋｅｎ", "a", true],
    ["to\u200bken", "a", true],
    ["keyId", "a", false],
    ["credential_id", "a", false],
    ["key_sha256", "a", false],
    ["max_tokens", 5, false],
    ["max_tokens", "4096", false],
    ["inputTokens", 5, false],
    ["keys", 3, false],
    ["keyboard", "a", false],
    ["monkey", "a", false],
    ["hasToken", true, false],
    ["token", null, false],
  ];
  test.each(cases)("%s: %p is %p", (name, value, expected) => {
    expect(isSecretField(name, value)).toBe(expected);
  });
});

describe("escapeControls", () => {
  const cases: readonly (readonly [text: string, expected: string])[] = [
    ["a\nb\tc\rd", "a\\nb\\tc\\u000dd"],
    ["\u001b[2J", "\\u001b[2J"],
    ["\u2028\u2029\u0085", "\\u2028\\u2029\\u0085"],
    ["\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"],
    ["\u200b\ufeff\u007f", "\\u200b\\ufeff\\u007f"],
    ["naïve 日本 👩‍💻", "naïve 日本 👩‍💻"],
  ];
  test.each(cases)("%j", (text, expected) => {
    expect(escapeControls(text)).toBe(expected);
  });
});

describe("redactValue", () => {
  const circle: Record<string, unknown> = { a: 1 };
  circle.self = circle;
  const shared = { n: 1 };
  const cause = new Error("inner sk-ant-api03-abcdefgh");
  const hostile = {
    get boom() {
      throw new Error("no");
    },
    ok: 1,
  };
  const proxy = new Proxy(
    {},
    {
      ownKeys() {
        throw new Error("no");
      },
    },
  );
  const cases: readonly (readonly [name: string, value: unknown, expected: unknown])[] = [
    ["scalars", [1, true, null, 2n, Number.NaN, undefined], [1, true, null, "2", "NaN", null]],
    ["function and symbol", [() => 1, Symbol("x")], ["[function]", "[symbol]"]],
    ["Secret", { a: new Secret("hunter2"), b: [new Secret("x")] }, { a: masked, b: [masked] }],
    [
      "field name",
      { db: { password: "hunter2", host: "h" } },
      { db: { password: masked, host: "h" } },
    ],
    ["empty secret", { token: "" }, { token: "" }],
    ["circle", circle, { a: 1, self: "[circular]" }],
    ["shared", [shared, shared], [{ n: 1 }, { n: 1 }]],
    ["getter that throws", hostile, { boom: "[unreadable]", ok: 1 }],
    ["proxy that throws", { p: proxy }, { p: "[unreadable]" }],
    ["toJSON that throws", { toJSON: () => hostile.boom }, "[unreadable]"],
    ["bytes", { raw: new TextEncoder().encode("hunter2") }, { raw: "[7 bytes]" }],
    ["boxed string", Object("sk-ant-api03-abcdefgh"), masked],
    ["date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["url", new URL("https://u:p@h/?key=hunter2"), "https://[secret]@h/?key=[secret]"],
    ["map", new Map([["token", "hunter2"]]), { token: masked }],
    [
      "headers",
      new Headers({ authorization: "Basic x", host: "h" }),
      { authorization: masked, host: "h" },
    ],
    ["set", new Set(["sk-ant-api03-abcdefgh"]), [masked]],
    ["name that is a key", { "sk-ant-api03-abcdefgh": 1 }, { [masked]: 1 }],
    ["deep", [[[[[[[1]]]]]]], [[[[[["[deep]"]]]]]]],
  ];
  test.each(cases)("%s", (_name, value, expected) => {
    expect(JSON.stringify(redactValue(value))).toBe(JSON.stringify(expected));
  });

  test("error: type, message, frames without the message, code, cause", () => {
    const error = Object.assign(new TypeError("Bearer abcdef123456", { cause }), { code: "E1" });
    const copy = redactValue(error) as Record<string, Record<string, string>>;
    expect(copy.type as unknown).toBe("TypeError");
    expect(copy.message as unknown).toBe("Bearer [secret]");
    expect(copy.code as unknown).toBe("E1");
    expect(copy.cause?.message).toBe("inner [secret]");
    expect(String(copy.stack)).toStartWith("at ");
    expect(JSON.stringify(copy)).not.toContain("abcdef");
  });

  test("errors that are one another's cause, and __proto__ as a field", () => {
    const a = new Error("a");
    a.cause = new Error("b", { cause: a });
    expect(JSON.stringify(redactValue(a))).toContain('"cause":"[circular]"');
    const copy = redactValue(JSON.parse('{"__proto__":{"admin":1}}'));
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"admin":1}}');
    expect((copy as { admin?: number }).admin).toBeUndefined();
  });

  test("limits: at the limit and one above", () => {
    const { stringCharacters, keys } = redactLimits;
    expect(redactText("a".repeat(stringCharacters))).toHaveLength(stringCharacters);
    expect(redactText("a".repeat(stringCharacters + 1))).toEndWith("a…");
    expect(redactText("a".repeat(1e6))).toHaveLength(stringCharacters);
    expect(redactValue(Array(keys).fill(1))).toHaveLength(keys);
    expect((redactValue(Array(keys + 1).fill(1)) as unknown[]).at(-1)).toBe("… 1 more");
    const wide = Object.fromEntries(Array.from({ length: keys + 1 }, (_, i) => [`f${i}`, i]));
    expect((redactValue(wide) as Record<string, unknown>)["…"]).toBe("1 more");
  });

  test("a value wide at every depth stops", () => {
    let wide: unknown = 1;
    for (let i = 0; i < 6; i++) wide = Array(50).fill(wide);
    const started = performance.now();
    expect(JSON.stringify(redactValue(wide)).length).toBeLessThan(50_000);
    expect(performance.now() - started).toBeLessThan(200);
  });

  test("a key at any place of a long text never shows, not even its beginning", () => {
    const key = "sk-ant-api03-abcdefghijklmnop";
    for (let at = 0; at < 4200; at += 1) {
      // A certificate shrinks to one word, which moves what follows towards the front.
      const front = "-----BEGIN A-----".padEnd(Math.max(0, at - 20), "x").slice(0, at);
      expect(redactText(`${"-".repeat(at)}${key}${"z".repeat(2000)}`)).not.toContain("sk-ant");
      expect(redactText(`${front}-----END A----- ${key}${"!".repeat(5000)}`)).not.toContain(
        "sk-ant",
      );
    }
  });
});
