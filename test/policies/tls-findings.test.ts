import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { findingKinds, findingsOf } from "../../policies/tls/findings.ts";
import { checkPair, type TlsPair } from "../../src/kit/tls-pair.ts";
import { type Authority, type Certificate, createAuthority } from "../harness/certificates.ts";
import { cleanUp } from "../harness/cleanup.ts";

const dayMs = 86_400_000;
let ours: Authority;
beforeAll(() => {
  ours = createAuthority();
});
afterAll(cleanUp);

const seen = new Set<string>();

/** What is found of a certificate and what its file holds after it. */
function found({ cert, key }: Certificate, chain: readonly Authority[] = []) {
  const text = cert + chain.map(({ file }) => readFileSync(file, "utf8")).join("");
  const pair = checkPair(text, key, Date.now());
  if ("message" in pair) throw new Error(pair.message);
  return told(pair, Date.now());
}

function told(pair: TlsPair, nowMs: number): readonly string[] {
  const findings = findingsOf([{ file: "/tls/tls.crt", pair, hosts: [] }], nowMs);
  for (const { id, evidence } of findings) {
    expect(evidence).toContain("/tls/tls.crt");
    seen.add(id);
  }
  return findings.map(({ severity, id }) => `${severity} ${id}`);
}

describe("chains", () => {
  test("with its issuer: nothing", () => {
    expect(found(ours.sign("DNS:localhost", 90), [ours])).toEqual([]);
  });

  test("alone: a client may not know its issuer", () => {
    expect(found(ours.sign("DNS:localhost", 90))).toEqual(["low tls-chain-short"]);
  });

  test("signed by itself", () => {
    const [only, ...more] = found(ours.selfSigned("DNS:localhost"));
    // It is made for two days.
    expect([only, ...more]).toEqual(["high tls-ends-soon", "low tls-self-signed"]);
  });

  test("followed by a client's certificate in place of the issuer's: out of order", () => {
    const leaf = ours.sign("DNS:localhost", 90);
    const { cert } = ours.sign("DNS:elsewhere", 90);
    const pair = checkPair(
      leaf.cert + cert + readFileSync(ours.file, "utf8"),
      leaf.key,
      Date.now(),
    );
    if ("message" in pair) throw new Error(pair.message);
    expect(told(pair, Date.now())).toEqual(["medium tls-chain-disordered"]);
  });
});

test("no names", () => {
  const { cert, key } = ours.sign("email:a@b.example", 90);
  expect(found({ cert, key }, [ours])).toEqual(["medium tls-no-names"]);
});

describe("its end", () => {
  const cases = [
    [14 * dayMs + 1, []],
    [14 * dayMs, []],
    [14 * dayMs - 1, ["medium tls-ends-soon"]],
    [3 * dayMs, ["medium tls-ends-soon"]],
    [3 * dayMs - 1, ["high tls-ends-soon"]],
    [-1, ["high tls-ends-soon"]],
  ] as const;
  test.each(cases)("in %d ms", (leftMs, expected) => {
    const { cert, key } = ours.sign("DNS:localhost", 90);
    const pair = checkPair(cert + readFileSync(ours.file, "utf8"), key, Date.now());
    if ("message" in pair) throw new Error(pair.message);
    expect(told(pair, pair.notAfterMs - leftMs)).toEqual([...expected]);
  });
});

test("each kind was found", () => {
  expect([...seen].sort()).toEqual(Object.keys(findingKinds).sort());
});
