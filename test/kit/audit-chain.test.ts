import { describe, expect, test } from "bun:test";
import { createHmac, hkdfSync } from "node:crypto";
import fc from "fast-check";
import {
  auditLimits,
  chainKeyOf,
  emptyChain,
  FieldCache,
  sealRecord,
} from "../../src/kit/audit-chain.ts";
import { readCheckpoints, writeCheckpoint } from "../../src/kit/audit-checkpoint.ts";
import { isLogName, lastSeqOf, rotatedName } from "../../src/kit/audit-files.ts";
import { readOwnNote, readRecord, seqOf } from "../../src/kit/audit-record.ts";
import { auditKey, entryOf } from "../harness/audit-log.ts";

function seal(more: Parameters<typeof entryOf>[0] = {}): string {
  return sealRecord(entryOf(more), emptyChain, auditKey, new FieldCache()).line;
}

describe("a record", () => {
  test("holds the guide's fields first, in its order, then its place in the chain", () => {
    const record = JSON.parse(seal());
    expect(Object.keys(record)).toEqual([
      ...["timestamp", "event_type", "provider", "user_id", "ip", "result", "details"],
      ...["request_id", "seq", "prev", "mac"],
    ]);
    expect(record).toMatchObject({
      timestamp: "2026-02-19T23:00:00.000Z",
      event_type: "auth_failure",
      provider: "claude",
      user_id: "user@example.com",
      ip: "192.168.1.100",
      result: "invalid_token",
      details: { reason: "Token expired" },
      seq: 1,
      prev: "0".repeat(64),
    });
  });

  test("is signed by HMAC-SHA256 over all bytes before its mac", () => {
    const line = seal();
    const at = line.lastIndexOf(',"mac":"');
    const info = "cliproxy audit record v1";
    const key = Buffer.from(hkdfSync("sha256", new Uint8Array(32).fill(7), "", info, 32));
    const mac = createHmac("sha256", key).update(line.slice(0, at)).digest("hex");
    expect(line.slice(at)).toBe(`,"mac":"${mac}"}`);
  });

  const nasty: readonly (readonly [name: string, text: string])[] = [
    ["line break", 'a\n{"event_type":"auth_success"}'],
    ["carriage return", "a\rb"],
    ["escape sequence", "a\u001b[2Jb"],
    ["C1 control", "a\u009b31mb"],
    ["line separator", "a\u2028b\u2029c"],
    ["bidirectional override", "a\u202eb\u2066c"],
    ["zero width", "a\u200bb\ufeffc"],
    ["NUL", "a\u0000b"],
    ["lone surrogate", "a\ud800b"],
    ["end of a record", `","seq":99,"prev":"${"0".repeat(64)}","mac":"${"0".repeat(64)}"}`],
  ];
  test.each(nasty)("escapes a %s in every field", (_name, text) => {
    const line = seal({
      ...{ type: text, provider: text, userId: text, ip: text, result: text, requestId: text },
      details: { [text]: text },
    });
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200b\u2028-\u202e\u2066-\u2069\ufeff]/);
    expect(JSON.parse(line).user_id).toBe(text);
    expect(seqOf(Buffer.from(line))).toBe(1);
    expect(readRecord(Buffer.from(line), auditKey)?.seq).toBe(1);
  });

  test("masks what looks like a key", () => {
    const line = seal({
      userId: "sk-ant-api03-abcdefghijkl",
      details: { model: "sk-proj-abcdefg" },
    });
    expect(line).not.toContain("abcdefg");
  });

  const { fieldBytes } = auditLimits;
  const sizes: readonly (readonly [name: string, text: string, whole: boolean])[] = [
    ["at the limit", "x".repeat(fieldBytes - 2), true],
    ["one above", "x".repeat(fieldBytes - 1), false],
    ["of wide characters", "€".repeat(fieldBytes), false],
    ["of escapes", "\u0001".repeat(fieldBytes), false],
    ["very long", "x".repeat(1_000_000), false],
  ];
  test.each(sizes)("bounds a field %s", (_name, text, whole) => {
    const field = JSON.parse(seal({ result: text })).result as string;
    expect(Buffer.byteLength(JSON.stringify(field))).toBeLessThanOrEqual(fieldBytes);
    expect(field === text).toBe(whole);
    expect(field.endsWith("…")).toBe(!whole);
  });

  test("bounds the number of details, and counts what was left out", () => {
    const names = Array.from({ length: auditLimits.detailFields + 1 }, (_, i) => [`f${i}`, i]);
    const { details } = JSON.parse(seal({ details: Object.fromEntries(names) }));
    expect(Object.keys(details)).toHaveLength(auditLimits.detailFields + 1);
    expect(details.dropped_fields).toBe(1);
    const fits = JSON.parse(seal({ details: Object.fromEntries(names.slice(1)) })).details;
    expect(fits.dropped_fields).toBeUndefined();
  });

  test("a line never exceeds its limit, and stays JSON with a place", () => {
    const text = fc.string({ unit: "binary", maxLength: 3000 });
    const details = fc.dictionary(text, fc.oneof(text, fc.double(), fc.boolean()), { maxKeys: 40 });
    fc.assert(
      fc.property(text, text, details, (userId, result, more) => {
        const line = seal({ userId, result, ip: userId, provider: result, details: more });
        expect(Buffer.byteLength(line)).toBeLessThanOrEqual(auditLimits.lineBytes);
        expect(JSON.parse(line).seq).toBe(1);
        expect(readRecord(Buffer.from(line), auditKey)?.seq).toBe(1);
      }),
      { numRuns: 200 },
    );
  });

  test("any changed byte is noticed", () => {
    const line = Buffer.from(seal());
    for (let i = 0; i < line.byteLength; i++) {
      const changed = Buffer.from(line);
      changed[i] = (changed[i] as number) ^ 1;
      expect(readRecord(changed, auditKey)).toBeUndefined();
    }
  });

  test("invalid UTF-8 can't stand for the replacement character", () => {
    const line = Buffer.from(seal({ result: "a\ufffdb" }));
    const at = line.indexOf("\ufffd");
    const forged = Buffer.concat([line.subarray(0, at), Buffer.of(0xff), line.subarray(at + 3)]);
    expect(forged.toString("utf8")).toBe(line.toString("utf8"));
    expect(readRecord(forged, auditKey)).toBeUndefined();
  });

  test("another key does not verify it", () => {
    const other = chainKeyOf(new Uint8Array(32).fill(8));
    expect(readRecord(Buffer.from(seal()), other)).toBeUndefined();
  });

  test("a note of the log is told from a field that looks like one", () => {
    const own = seal({ type: "audit_log", result: "gap", details: { lost: 3 } });
    expect(readOwnNote(Buffer.from(own))).toMatchObject({ result: "gap", details: { lost: 3 } });
    const like = seal({ userId: '"event_type":"audit_log"', result: "gap" });
    expect(readOwnNote(Buffer.from(like))).toBeUndefined();
  });
});

describe("the cache of fields", () => {
  test("is bounded, and holds no long text", () => {
    const cache = new FieldCache();
    for (let i = 0; i < 4096; i++) cache.json(`t${i}`);
    expect(cache.size).toBe(4096);
    cache.json("one above");
    expect(cache.size).toBe(1);
    cache.json("x".repeat(129));
    expect(cache.size).toBe(1);
    cache.json("x".repeat(128));
    expect(cache.size).toBe(2);
  });
});

describe("a checkpoint", () => {
  const head = { seq: 42, mac: "ab".repeat(32) };
  const word = writeCheckpoint(head, Date.UTC(2026, 1, 19, 23), auditKey);

  test("is one word that is found in any text", () => {
    const log = `{"msg":"audit checkpoint","checkpoint":"${word}"}\nnoise ${word}, more`;
    const at = "20260219T230000Z";
    const one = { seq: 42, at, mac: head.mac };
    expect(readCheckpoints(log, auditKey)).toEqual({ signed: [one, one], foreign: 0 });
  });

  const forged: readonly (readonly [name: string, text: string])[] = [
    ["another number", word.replace(":42:", ":43:")],
    ["another time", word.replace("2026", "2027")],
    ["another mac", word.replace("abab", "abac")],
    ["signed as a record", word.slice(0, -64) + auditKey.record(word.slice(0, -65))],
  ];
  test.each(forged)("with %s is foreign", (_name, text) => {
    expect(readCheckpoints(text, auditKey)).toEqual({ signed: [], foreign: 1 });
  });
});

describe("names of files", () => {
  test("two rotations in one second, or after the clock went back, differ", () => {
    const now = Date.UTC(2026, 1, 19, 23);
    expect(rotatedName("audit.log", now, 5)).toBe("audit.log.20260219T230000Z.5");
    expect(rotatedName("audit.log", now, 5)).not.toBe(rotatedName("audit.log", now, 6));
  });

  const names: readonly (readonly [name: string, isLog: boolean, seq: number | undefined])[] = [
    ["audit.log", true, undefined],
    ["audit.log.20260219T230000Z.5", true, 5],
    ["audit.log.1", true, undefined],
    ["audit.log-20260219", true, undefined],
    ["audit.log.checkpoints", false, undefined],
    ["audit.log.2.gz", false, undefined],
    ["audit.logs", false, undefined],
    ["other.log", false, undefined],
    ["audit.log.20260219T230000Z.5.bak", true, undefined],
  ];
  test.each(names)("%s", (name, isLog, seq) => {
    expect([isLogName("audit.log", name), lastSeqOf("audit.log", name)]).toEqual([isLog, seq]);
  });
});
