import { describe, expect, test } from "bun:test";
import { checkHead } from "../src/head-check.ts";

/** A request as the runtime hands it over: fields given twice arrive joined. */
function verdict(
  method: string,
  fields: Readonly<Record<string, string>>,
  needsHost = true,
): string {
  const given = new Headers(fields);
  const request = { method, headers: { get: (name: string) => given.get(name) } };
  const refusal = checkHead(request as unknown as Request, needsHost);
  return refusal === undefined ? "sound" : `${refusal.code}: ${refusal.headers?.connection}`;
}

const bad = "bad_request: close";

describe("Host", () => {
  const hosts: readonly (readonly [host: string, expected: string])[] = [
    ["127.0.0.1", "sound"],
    ["127.0.0.1:8317", "sound"],
    ["localhost:65535", "sound"],
    ["LocalHost", "sound"],
    ["cliproxy_1:8317", "sound"],
    ["xn--bcher-kva.example.", "sound"],
    ["[::1]:8317", "sound"],
    ["[::ffff:127.0.0.1]", "sound"],
    ["a".repeat(255), "sound"],
    ["a".repeat(256), bad],
    ["localhost:65536", bad],
    ["localhost:655350", bad],
    ["localhost:", bad],
    ["localhost:80:80", bad],
    ["localhost:+80", bad],
    [":8317", bad],
    ["", bad],
    ["127.0.0.1, 127.0.0.1", bad],
    ["127.0.0.1,evil.example", bad],
    ["a b", bad],
    ["user@127.0.0.1", bad],
    ["127.0.0.1/x", bad],
    ["127.0.0.1#x", bad],
    ["127.0.0.1?x", bad],
    ["127.0.0.1%2eevil.example", bad],
    ["127.0.0.1\\x", bad],
    ["[::1", bad],
    ["[fe80::1%25eth0]", bad],
    ["\u00fcber.example", bad],
  ];
  test.each(hosts)("%j", (host, expected) => {
    expect(verdict("GET", { host })).toBe(expected);
    // Once more: the last good Host is remembered.
    expect(verdict("GET", { host })).toBe(expected);
  });

  test("none", () => {
    expect(verdict("GET", {})).toBe(bad);
    expect(verdict("GET", {}, false)).toBe("sound");
    expect(verdict("GET", { host: "" }, false)).toBe(bad);
  });
});

describe("framing", () => {
  const host = "127.0.0.1";
  const framings: readonly (readonly [fields: Record<string, string>, expected: string])[] = [
    [{ "content-length": "0" }, "sound"],
    [{ "content-length": "999999999999999" }, "sound"],
    [{ "content-length": "1000000000000000" }, bad],
    [{ "content-length": "5, 5" }, bad],
    [{ "content-length": "5,6" }, bad],
    [{ "content-length": "+5" }, bad],
    [{ "content-length": "-5" }, bad],
    [{ "content-length": "0x5" }, bad],
    [{ "content-length": "5.0" }, bad],
    [{ "content-length": "1e3" }, bad],
    [{ "content-length": "" }, bad],
    [{ "transfer-encoding": "chunked" }, "sound"],
    [{ "transfer-encoding": "Chunked" }, "sound"],
    [{ "transfer-encoding": "chunked, chunked" }, bad],
    [{ "transfer-encoding": ", chunked" }, bad],
    [{ "transfer-encoding": "identity" }, bad],
    [{ "transfer-encoding": "gzip, chunked" }, bad],
    [{ "transfer-encoding": "" }, bad],
    [{ "transfer-encoding": "chunked", "content-length": "5" }, bad],
  ];
  test.each(framings)("%j", (fields, expected) => {
    expect(verdict("POST", { host, ...fields })).toBe(expected);
    expect(verdict("GET", { host, ...fields }, false)).toBe(expected);
  });
});

test.each(["CONNECT", "TRACE"])("%s is refused, and its connection ends", (method) => {
  expect(verdict(method, { host: "127.0.0.1" })).toBe("method_not_allowed: close");
});
