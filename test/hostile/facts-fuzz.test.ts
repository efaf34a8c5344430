/**
 * Bodies made up by a grammar, for the scan that reads facts without a parse. The maker knows which
 * keys it wrote, so it also knows what a parser that keeps the last one can't tell.
 *
 * What a long run (`npm run fuzz`) finds is added to `test/vectors/json-facts.json`.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { defineFactKeys } from "../../src/kit/fact-keys.ts";
import { scanFacts } from "../../src/kit/json-facts.ts";
import { fuzzing } from "./fuzzing.ts";

const names = ["model", "stream", "max_tokens", "task"] as const;
const keys = defineFactKeys(names);
const encoder = new TextEncoder();

function scan(body: string): Record<string, unknown> | string {
  const found = scanFacts(encoder.encode(body), keys);
  if (!found.ok) return found.problem;
  return Object.fromEntries([...found.facts].map(([name, fact]) => [name, fact.value]));
}

interface Vector {
  readonly name: string;
  readonly body: string;
  readonly expected: Readonly<Record<string, unknown>> | string;
}

const file = join(import.meta.dirname, "../vectors/json-facts.json");
const vectors = JSON.parse(readFileSync(file, "utf8")) as readonly Vector[];

describe("corpus", () => {
  test.each(vectors.map((v) => [v.name, v] as const))("%s", (_name, { body, expected }) => {
    const got = scan(body);
    expect(JSON.stringify(got)).toBe(JSON.stringify(expected));
  });
});

/** A key as it is meant, and as it is written. */
interface Key {
  readonly meant: string;
  readonly written: string;
}

/** A string in quotes, some characters as escapes, in either case of their digits. */
function written(text: string, hows: readonly number[]): string {
  const units = [...Array(text.length).keys()].map((i) => {
    const unit = text.charAt(i);
    const how = hows[i % Math.max(1, hows.length)] ?? 0;
    if (how === 0 && !/["\\\0-\x1f]/.test(unit)) return unit;
    const hex = text.charCodeAt(i).toString(16).padStart(4, "0");
    return `\\u${how === 2 ? hex.toUpperCase() : hex}`;
  });
  return `"${units.join("")}"`;
}

const escapes = fc.array(fc.nat(2), { maxLength: 5 });
const spelled = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<string[]>(...names) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...[
        "Model",
        "MODEL",
        "\u017ftream",
        "tas\u212a",
        "TASK",
        "max_Tokens",
        "model\0",
        "ta\u017fk",
      ],
      ...["models", "mode", "", " model", "model ", "max-tokens", "__proto__", "modelé", "\ud800"],
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 8 }) },
);
const key: fc.Arbitrary<Key> = fc
  .tuple(spelled, escapes)
  .map(([meant, hows]) => ({ meant, written: written(meant, hows) }));

const space = fc.constantFrom("", "", "", " ", "\n", "\t", "\r\n ");
const scalar = fc.oneof(
  fc.tuple(fc.string({ unit: "binary", maxLength: 12 }), escapes).map(([s, e]) => written(s, e)),
  fc.constantFrom("true", "false", "null", "0", "-1", "1.5e3", "9007199254740991", "1E-9", "-0"),
  fc.constantFrom('"\\\\"', '"\\\\\\""', '"\\/"', '"},{"', '"\\",\\"model\\":\\"b"'),
);
const value = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }).map((items) => `[${items.join(" , ")}]`),
    fc
      .array(fc.tuple(key, tie("value")), { maxLength: 3 })
      .map((members) => `{${members.map(([k, v]) => `${k.written} : ${v}`).join(",")}}`),
  ),
})).value;

const members = fc.array(fc.tuple(key, space, value, space), { maxLength: 6 });

/** What a reader that folds case, or stops at NUL, takes for a fact. */
function looksLikeFact({ meant }: Key): boolean {
  const folded = meant
    .replace(/\0[\s\S]*/, "")
    .toUpperCase()
    .toLowerCase();
  return (names as readonly string[]).includes(folded);
}

function isFact({ meant }: Key): boolean {
  return (names as readonly string[]).includes(meant);
}

/** Lone surrogates can't be sent as UTF-8: the encoder has replaced them. */
function isSendable(body: string): boolean {
  return new TextDecoder().decode(encoder.encode(body)) === body;
}

test(
  "made up: no fact twice, none in disguise, and each as a full parse reads it",
  () => {
    const { runs, seed, timeoutMs } = fuzzing(4000);
    const seen = { accepted: 0, twice: 0, disguised: 0 };
    const property = fc.property(members, (list) => {
      const body = `{${list.map(([k, s1, v, s2]) => `${s1}${k.written}${s2}:${s1}${v}${s2}`).join(",")}}`;
      fc.pre(isSendable(body));
      const got = scan(body);
      const written = list.map(([k]) => k);
      const facts = written.filter(isFact).map(({ meant }) => meant);
      const isTwice = new Set(facts).size < facts.length;
      const isDisguised = written.some((k) => looksLikeFact(k) && !isFact(k));
      if (isTwice) seen.twice += 1;
      if (isDisguised) seen.disguised += 1;
      if (isTwice || isDisguised) return expect(got).toBeString();
      const parsed = JSON.parse(body) as Record<string, unknown>;
      if (typeof got === "string") {
        // The one other reason to refuse what a parser takes: a fact that readers tell differently.
        return expect([got, body]).toEqual(["ambiguous_value", body]);
      }
      seen.accepted += 1;
      const plain = facts.map((name) => {
        const fact = parsed[name];
        return [name, typeof fact === "object" && fact !== null ? undefined : fact];
      });
      expect(got).toEqual(Object.fromEntries(plain));
    });
    fc.assert(property, { numRuns: runs, seed, interruptAfterTimeLimit: timeoutMs });
    // It would prove nothing if one kind never came.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(runs / 50);
  },
  fuzzing(1).timeoutMs + 10_000,
);
