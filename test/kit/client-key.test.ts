import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { isOwnKeyShape, isSampleKey, newClientKey } from "../../src/kit/client-key.ts";

describe("newClientKey", () => {
  test("has the documented shape, and is another one each time", () => {
    const keys = Array.from({ length: 1000 }, newClientKey);
    expect(new Set(keys).size).toBe(1000);
    for (const key of keys) {
      expect(key).toMatch(/^cpk_[A-Za-z0-9_-]{49}$/);
      expect(isOwnKeyShape(key)).toBe(true);
      expect(isSampleKey(key)).toBe(false);
    }
  });
});

describe("isOwnKeyShape", () => {
  const body = `cpk_${"A".repeat(43)}`;
  const good = newClientKey();
  const last = good.at(-1) === "A" ? "B" : "A";
  const cases: readonly (readonly [name: string, text: string, expected: boolean])[] = [
    ["good", good, true],
    // The checksum as another language computed it.
    ["known", `${body}vIkDaj`, true],
    ["checksum missing", body, false],
    ["checksum wrong", good.slice(0, -1) + last, false],
    [
      "a character changed",
      `${good.slice(0, 10)}${good[10] === "x" ? "y" : "x"}${good.slice(11)}`,
      false,
    ],
    ["too long", `${good}A`, false],
    ["line break after", `${good}\n`, false],
    ["other prefix", good.replace("cpk_", "cpl_"), false],
    ["empty", "", false],
  ];
  test.each(cases)("%s", (_name, text, expected) => {
    expect(isOwnKeyShape(text)).toBe(expected);
  });
});

describe("isSampleKey", () => {
  const samples = [
    "your-api-key",
    "your-api-key-1-and-some-more",
    "your-api-key-12345678901234567890",
    "YOUR_32_BYTE_ENCRYPTION_KEY_HERE",
    "YOUR_CLIENT_KEY",
    "<your-api-key-goes-here>",
    "yourSecretTokenGoesHere",
    "sk-ant-xxxxx",
    "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-xxxx",
    "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "changeme",
    "change-me-please-now",
    "test",
    "test-key-test-key",
    "example",
    "my-secret-api-key",
    "my-super-secret-token-123",
    "example_client_key_2",
    "replace-me-with-a-real-key",
    "insert-your-key-here",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-ant-api03-abcd...wxyz9876",
    `\${ALICE_KEY_OF_PRODUCTION}`,
    "$ALICE_KEY_VALUE_1",
    "{{ alice_client_key }}",
    "a".repeat(64),
    "0".repeat(32),
    "****************",
    "abcabcabcabcabcabc",
    "abc123abc123abc123abc123",
    "1234567890123456",
    "1234567890abcdef",
    "0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz",
    "passwordpassword",
    "correct-horse-battery-staple",
    "qwertyuiop-asdfghjkl",
    "short-9fK2mQx7a",
    "",
    "   ",
  ];
  test.each(samples)("refuses %j", (text) => {
    expect(isSampleKey(text)).toBe(true);
  });

  const real = [
    "9fK2mQx7aB4tWz1p",
    "857fadcdfbff6b57763dbb186c2a1473",
    "550e8400-e29b-41d4-a716-446655440000",
    "sk-ant-api03-Qm4Zt9Lr2Kx8Vb5Nc1Wp7Hd3",
    "alice-laptop-Qm4Zt9Lr2Kx8Vb5N",
    "test-Qm4Zt9Lr2Kx8Vb5N",
    "mein Schlüssel ist 7 km lang",
  ];
  test.each(real)("takes %j", (text) => {
    expect(isSampleKey(text)).toBe(false);
  });

  test("at 15 characters refused, at 16 taken", () => {
    expect(isSampleKey("9fK2mQx7aB4tWz1")).toBe(true);
    expect(isSampleKey("9fK2mQx7aB4tWz1p")).toBe(false);
  });

  test("random keys of 16 bytes are taken, in hex and in base64url", () => {
    for (let i = 0; i < 20_000; i++) {
      const bytes = randomBytes(16);
      expect(isSampleKey(bytes.toString("hex"))).toBe(false);
      expect(isSampleKey(bytes.toString("base64url"))).toBe(false);
    }
  });
});
