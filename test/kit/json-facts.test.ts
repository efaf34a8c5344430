import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { defineFactKeys } from "../../src/kit/fact-keys.ts";
import {
  type FactScan,
  type factProblems,
  maxDepth,
  maxKeys,
  problemText,
  scanFacts,
} from "../../src/kit/json-facts.ts";

const names = ["model", "stream", "max_tokens", "messages", "task"] as const;
type Name = (typeof names)[number];
const keys = defineFactKeys(names);
const bs = "\\";

function scan(body: string | Uint8Array): FactScan<Name> {
  return scanFacts(typeof body === "string" ? Buffer.from(body) : body, keys);
}

function problemOf(body: string | Uint8Array): string {
  const result = scan(body);
  return result.ok ? "accepted" : result.problem;
}

function valuesOf(body: string | Uint8Array): Record<string, unknown> | string {
  const result = scan(body);
  if (!result.ok) return result.problem;
  return Object.fromEntries([...result.facts].map(([name, fact]) => [name, fact.value]));
}

/** What the scan must find, told by a full parse. */
function parsedFacts(body: string): Record<string, unknown> {
  const parsed = JSON.parse(body) as Record<string, unknown>;
  const known = Object.keys(parsed).filter((key) => (names as readonly string[]).includes(key));
  return Object.fromEntries(
    known.map((key) => {
      const value = parsed[key];
      return [key, typeof value === "object" && value !== null ? undefined : value];
    }),
  );
}

function parses(body: string): boolean {
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

describe("scanFacts reads", () => {
  const table: [string, string, Record<string, unknown>][] = [
    ["no fact at all", "{}", {}],
    ["space around everything", ' \t\r\n{ "model" : "a" , "x" : [ ] } \n', { model: "a" }],
    [
      "literals",
      '{"stream":true,"model":null,"task":false}',
      { stream: true, model: null, task: false },
    ],
    ["a number", '{"max_tokens":-1.5e+2}', { max_tokens: -150 }],
    ["the largest safe integer", '{"max_tokens":9007199254740991}', { max_tokens: 2 ** 53 - 1 }],
    ["a number that rounds to nothing", '{"max_tokens":1e-999}', { max_tokens: 0 }],
    [
      "objects and arrays as undefined",
      '{"model":{},"messages":[[],{}]}',
      { model: undefined, messages: undefined },
    ],
    [
      "a fact after a nested value",
      '{"messages":[{"a":[1]}],"model":"m"}',
      { messages: undefined, model: "m" },
    ],
    [
      "escapes",
      String.raw`{"model":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}`,
      { model: '"\\/\b\f\n\r\té😀' },
    ],
    ["UTF-8", '{"ключ":"ж","model":"é😀"}', { model: "é😀" }],
    ["an escaped key", String.raw`{"m\u006fdel":"a"}`, { model: "a" }],
    ["an empty key", '{"":1,"model":"a"}', { model: "a" }],
    ["duplicates of other keys", '{"x":1,"x":2}', {}],
    [
      "fact keys again below",
      '{"x":{"model":"b","model":"c","MODEL":1},"model":"a"}',
      { model: "a" },
    ],
    [
      "a fact key hidden in a string",
      String.raw`{"x":"\",\"model\":\"b","model":"a"}`,
      { model: "a" },
    ],
    ["a key that merely begins alike", '{"model2":"b","mode":"c","model":"a"}', { model: "a" }],
    ["a key named like a method", '{"__proto__":1,"constructor":2,"model":"a"}', { model: "a" }],
    ["a NUL in another value", String.raw`{"x":"\u0000\ud800","model":"a"}`, { model: "a" }],
  ];
  test.each(table)("%s", (_, body, expected) => {
    expect(valuesOf(body)).toEqual(expected);
  });

  test("the bytes of a value, so that another can be spliced in", () => {
    const body = Buffer.from('{"é": "ü", "model" : "ä\\n" ,"messages":[ 1 ],"stream":true}');
    const result = scanFacts(body, keys);
    if (!result.ok) throw new Error(result.problem);
    const text = [...result.facts.values()].map((fact) =>
      body.toString("utf8", fact.start, fact.end),
    );
    expect(text).toEqual(['"ä\\n"', "[ 1 ]", "true"]);
  });

  test("a body that is a view into a larger buffer", () => {
    const whole = Buffer.from('xx{"model":"a"}yy');
    expect(valuesOf(new Uint8Array(whole.buffer, whole.byteOffset + 2, 13))).toEqual({
      model: "a",
    });
  });
});

describe("scanFacts refuses", () => {
  const table: [string, string | Uint8Array, keyof typeof factProblems][] = [
    ["a byte order mark", '\ufeff{"model":"a"}', "bom"],
    ["UTF-16", Buffer.from('{"model":"a"}', "utf16le"), "bad_token"],
    ["invalid UTF-8 in a string", Buffer.from('{"x":"\xe9"}', "latin1"), "invalid_utf8"],
    ["an overlong quote", Buffer.from('{"x":"\xc0\xa2"}', "latin1"), "invalid_utf8"],
    ["a surrogate in UTF-8", Buffer.from('{"x":"\xed\xa0\x80"}', "latin1"), "invalid_utf8"],
    ["nothing", "", "not_an_object"],
    ["only space", " \n", "not_an_object"],
    ["an array", "[{}]", "not_an_object"],
    ["a string", '"model"', "not_an_object"],
    ["a no-break space in front", "\u00a0{}", "not_an_object"],
    ["a form feed", "{\f}", "bad_token"],
    ["a second object", '{"model":"a"}{"model":"b"}', "trailing_bytes"],
    ["a NUL at the end", "{}\0", "trailing_bytes"],
    ["a closing bracket too many", "{}}", "trailing_bytes"],
    ["a trailing comma", '{"model":"a",}', "bad_token"],
    ["a trailing comma below", '{"x":[1,]}', "bad_token"],
    ["a leading comma", '{,"model":"a"}', "bad_token"],
    ["two commas", '{"a":1,,"b":2}', "bad_token"],
    ["no comma", '{"a":1 "b":2}', "bad_token"],
    ["no colon", '{"a" 1}', "bad_token"],
    ["no value", '{"a":}', "bad_token"],
    ["a bare key", "{model:1}", "bad_token"],
    ["a number as key", "{1:1}", "bad_token"],
    ["single quotes", "{'model':1}", "bad_token"],
    ["a comment", '{/* "model":"b" */"model":"a"}', "bad_token"],
    ["a line comment", '{"x":1 // "\n}', "bad_token"],
    ["NaN", '{"max_tokens":NaN}', "bad_token"],
    ["Infinity below", '{"x":[-Infinity]}', "bad_token"],
    ["a word cut short", '{"stream":tru}', "bad_token"],
    ["a word that goes on", '{"stream":trueish}', "bad_token"],
    ["an upper-case word", '{"stream":True}', "bad_token"],
    ["a leading zero", '{"max_tokens":01}', "bad_token"],
    ["a plus sign", '{"max_tokens":+1}', "bad_token"],
    ["hexadecimal", '{"max_tokens":0x10}', "bad_token"],
    ["a point without digits", '{"max_tokens":1.}', "bad_token"],
    ["a power without digits", '{"max_tokens":1e+}', "bad_token"],
    ["a lone minus", '{"max_tokens":-}', "bad_token"],
    ["a digit of another script", '{"max_tokens":١}', "bad_token"],
    ["no end", '{"model":"a"', "unbalanced"],
    ["no end of a string", '{"model":"a', "unbalanced"],
    ["an escaped end of a string", `{"model":"a${bs}"}`, "unbalanced"],
    ["the wrong bracket", '{"x":[1}}', "unbalanced"],
    ["the wrong bracket at the top", '{"x":1]', "unbalanced"],
    ["an unknown escape in a fact", `{"model":"${bs}x41"}`, "bad_string"],
    ["an unknown escape in a key", `{"${bs}model":1}`, "bad_string"],
    ["a short escape in another value", `{"x":"${bs}u12","model":"a"}`, "bad_string"],
    ["a newline in a key", '{"mod\nel":1}', "bad_string"],
    ["a NUL in a fact", '{"model":"a\0b"}', "bad_string"],
    ["a tab deep down", '{"x":[["\t"]]}', "bad_string"],
    ["a newline in a long fact", `{"model":"${"a".repeat(200)}\n"}`, "bad_string"],
    ["a newline in a long key", `{"${"a".repeat(200)}\n":1}`, "bad_string"],
    ["a fact twice", '{"model":"a","model":"a"}', "duplicate_key"],
    ["a fact twice around an object", '{"messages":[{}],"x":1,"messages":[]}', "duplicate_key"],
    ["a fact twice, once escaped", String.raw`{"model":"a","\u006dodel":"b"}`, "duplicate_key"],
    ["a fact in capitals", '{"Model":"a"}', "case_variant_key"],
    ["both spellings", '{"model":"a","MODEL":"b"}', "case_variant_key"],
    ["an escaped capital", String.raw`{"\u004dodel":"b"}`, "case_variant_key"],
    ["a long s, as Go folds it", '{"\u017ftream":true}', "case_variant_key"],
    ["a Kelvin sign, as Go folds it", '{"tas\u212a":1}', "case_variant_key"],
    ["both, escaped", String.raw`{"ta\u017f\u212a":1}`, "case_variant_key"],
    ["a key that C would cut", String.raw`{"model\u0000x":1}`, "case_variant_key"],
    ["a value that C would cut", String.raw`{"model":"a\u0000b"}`, "ambiguous_value"],
    ["a lone surrogate in a fact", String.raw`{"model":"a\ud800"}`, "ambiguous_value"],
    ["surrogates in the wrong order", String.raw`{"model":"\ude00\ud83d"}`, "ambiguous_value"],
    ["a number without end", '{"max_tokens":1e999}', "ambiguous_value"],
    ["an unsafe integer", '{"max_tokens":9007199254740992}', "ambiguous_value"],
    ["an unsafe negative integer", '{"max_tokens":-1e20}', "ambiguous_value"],
  ];
  test.each(table)("%s", (_, body, expected) => {
    expect(problemOf(body)).toBe(expected);
  });

  test("with the place and a sentence", () => {
    const result = scan('{"model":"a","Model":1}');
    expect(result).toEqual({ ok: false, problem: "case_variant_key", offset: 13 });
    expect(problemText("case_variant_key", 13)).toEndWith("ignore. (byte 13)");
  });

  test("names that look alike, at load", () => {
    expect(() => defineFactKeys(["model", "Model"])).toThrow();
  });
});

describe("hostile input", () => {
  test("nesting at the limit and one above", () => {
    const nest = (depth: number) => `{"x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    expect(problemOf(nest(maxDepth))).toBe("accepted");
    expect(problemOf(nest(maxDepth + 1))).toBe("too_deep");
    expect(problemOf(`{"x":${"[".repeat(1_000_000)}`)).toBe("too_deep");
    const objects = (depth: number) => `${'{"x":'.repeat(depth)}1${"}".repeat(depth)}`;
    expect(problemOf(objects(maxDepth))).toBe("accepted");
    expect(problemOf(objects(maxDepth + 1))).toBe("too_deep");
  });

  test("top-level keys at the limit and one above", () => {
    const many = (count: number) => `{${Array(count).fill('"x":1').join(",")}}`;
    expect(problemOf(many(maxKeys))).toBe("accepted");
    expect(problemOf(many(maxKeys + 1))).toBe("too_many_keys");
    expect(problemOf(`{"x":${many(maxKeys + 1)}}`)).toBe("accepted");
  });

  // No String.raw here: Bun 1.4.5 rewrites what is not ASCII in a raw template as escapes.
  const sample = '{"model":"a\\"é😀","x":[{"y":"\\\\"},-1.5e3,true,null,"\\u0041"],"stream":false}';

  test("a body cut at any byte is refused", () => {
    const bytes = Buffer.from(sample);
    expect(problemOf(bytes)).toBe("accepted");
    for (let end = 0; end < bytes.length; end++) {
      expect([end, problemOf(bytes.subarray(0, end))]).not.toEqual([end, "accepted"]);
    }
  });

  test("a body with any byte changed is read as JSON.parse reads it, or refused", () => {
    const bytes = Buffer.from(sample);
    for (let at = 0; at < bytes.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const changed = Buffer.from(bytes);
        changed[at] = byte;
        const facts = valuesOf(changed);
        const text = changed.toString("utf8");
        if (typeof facts !== "string" && parses(text)) expect(facts).toEqual(parsedFacts(text));
      }
    }
  });

  test.each([1, 2, 3, 16, 17, 1000, 200_001])("%d backslashes in front of a quote", (count) => {
    const body = `{"x":["${bs.repeat(count)}"],"model":"a"}`;
    expect(problemOf(body) === "accepted").toBe(count % 2 === 0);
    expect(parses(body)).toBe(count % 2 === 0);
  });

  test("every kind of end of a long string", () => {
    for (const tail of ['"', `${bs}"`, `${bs}${bs}"`, `${bs}n"`, "é", '","model":"b"']) {
      for (const size of [0, 1, 14, 15, 16, 17, 18, 1000]) {
        const body = `{"x":["${"a".repeat(size)}${tail}"],"model":"a"}`;
        expect(typeof valuesOf(body) !== "string").toBe(parses(body) && !body.includes('"b"'));
      }
    }
  });

  test("a control character in a long string below the top level moves neither end nor fact", () => {
    for (const at of [16, 80, 65_535, 199_999]) {
      const text = Buffer.alloc(200_000, "a");
      text[at] = 0x0a;
      const body = Buffer.concat([Buffer.from('{"x":["'), text, Buffer.from('"],"model":"a"}')]);
      expect(valuesOf(body)).toEqual({ model: "a" });
    }
  });

  test("a wrong escape below the top level moves neither a string's end nor a fact", () => {
    expect(valuesOf(`{"x":["${bs}q"",1],"model":"a"}`)).toEqual("bad_token");
    expect(valuesOf(`{"x":["${bs}q${bs}"",1],"model":"a"}`)).toEqual({ model: "a" });
    expect(valuesOf(`{"x":["${bs}q${bs}u1"],"model":"a"}`)).toEqual({ model: "a" });
  });
});

describe("properties", () => {
  const fragment = fc.constantFrom(
    ...[
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      bs,
      " ",
      "\n",
      "\t",
      "\0",
      "é",
      "\u017f",
      "1",
      "-",
      "0",
      ".",
      "e",
    ],
    ...['"model"', '"Model"', '"stream"', '"x"', '":', '",', `${bs}"`, `${bs}u0041`, `${bs}ud800`],
    ...['{"model":"a"', '"task":', "true", "null", "1e999", "//", "/*", "'", "[]", "{}", '"a"'],
  );
  const soup = fc.array(fragment, { maxLength: 14 }).map((parts) => parts.join(""));
  const factValue = fc.oneof(
    fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", "")),
    fc.maxSafeInteger(),
    fc.double({ noDefaultInfinity: true, noNaN: true, min: -1e15, max: 1e15 }),
    fc.boolean(),
    fc.constant(null),
    fc.jsonValue(),
  );
  // Lone surrogates, NULs and numbers of any size are welcome wherever they are no fact.
  const otherValue = fc.jsonValue({ stringUnit: "binary" });
  const other = fc.string({ unit: "binary" }).filter((key) => !/^(mod|str|max|mes|ta)/i.test(key));
  const anyObject = fc
    .tuple(
      fc.dictionary(other, otherValue),
      fc.record(
        { model: factValue, stream: factValue, max_tokens: factValue, messages: otherValue },
        { requiredKeys: [] },
      ),
    )
    .map(([others, facts]) => ({ ...others, ...facts, x: { ...facts } }));

  function agrees(body: string): void {
    const facts = valuesOf(body);
    if (typeof facts === "string") return;
    expect(facts).toEqual(parsedFacts(body));
  }

  test("soup that is accepted reads as JSON.parse reads it; what it rejects is refused", () => {
    fc.assert(
      fc.property(soup, fc.boolean(), (middle, wrapped) => {
        const body = wrapped ? `{"x":1,${middle}}` : middle;
        // The one liberty: escapes below depth 1.
        if (parses(body)) agrees(body);
        else if (!/\\[^"\\/bfnrt]|\\u/.test(body)) expect(problemOf(body)).not.toBe("accepted");
      }),
      { numRuns: 20_000 },
    );
  });

  test("a top-level member that JSON.parse rejects is refused, escapes included", () => {
    const member = fc.array(fc.constantFrom(..."\"\\u0041dxn\n\0é:,1-.e+tf '"), { maxLength: 9 });
    fc.assert(
      fc.property(
        member,
        fc.constantFrom('{"model":#}', '{"x":#}', '{"x":"#"}', "{#:1}", '{"#":1}'),
        (m, f) => {
          const body = f.replace("#", () => m.join(""));
          if (parses(body)) agrees(body);
          else expect(problemOf(body)).not.toBe("accepted");
        },
      ),
      { numRuns: 20_000 },
    );
  });

  test("whatever JSON.stringify writes is accepted and read the same, pretty or not", () => {
    fc.assert(
      fc.property(anyObject, fc.constantFrom(undefined, 2, "\t"), (value, indent) => {
        const body = JSON.stringify(value, null, indent);
        const facts = valuesOf(body);
        if (facts === "ambiguous_value") {
          // Only fc.jsonValue's own extremes in a fact.
          expect(/\\u0000|\\ud[89a-f]|e\+|\d{16}/i.test(body)).toBe(true);
          return;
        }
        expect(facts).toEqual(parsedFacts(body));
      }),
      { numRuns: 3000 },
    );
  });

  test("a body with bytes changed is refused, or read as JSON.parse reads it", () => {
    const change = fc.tuple(
      fc.nat(),
      fc.oneof(
        fc.nat(255),
        fc.constantFrom(...'{}[]",:\\').map((c) => c.charCodeAt(0)),
      ),
    );
    fc.assert(
      fc.property(anyObject, fc.array(change, { maxLength: 3, minLength: 1 }), (value, changes) => {
        const bytes = Buffer.from(JSON.stringify(value));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const text = bytes.toString("utf8");
        if (parses(text)) agrees(text);
      }),
      { numRuns: 5000 },
    );
  });

  test("another model name, spliced in by its span, changes nothing else", () => {
    fc.assert(
      fc.property(fc.dictionary(other, otherValue), fc.string(), (others, model) => {
        const body = Buffer.from(JSON.stringify({ ...others, model: "old", x: 1 }));
        const result = scanFacts(body, keys);
        const fact = result.ok ? result.facts.get("model") : undefined;
        if (fact === undefined) throw new Error("no model");
        const before = body.toString("utf8", 0, fact.start);
        const after = body.toString("utf8", fact.end);
        expect(`${before}${JSON.stringify(model)}${after}`).toBe(
          JSON.stringify({ ...others, model, x: 1 }),
        );
      }),
    );
  });
});

describe("texts", () => {
  const withTexts = defineFactKeys(["model", "input"], ["input"]);
  test.each([
    [String.raw`{"model":"m","input":"a\u0000b"}`, undefined],
    [String.raw`{"model":"m","input":"a\ud800"}`, undefined],
    [String.raw`{"model":"m\u0000","input":"a"}`, "ambiguous_value"],
    ['{"input":1e999}', "ambiguous_value"],
    ['{"input":"a","input":"b"}', "duplicate_key"],
    [String.raw`{"input":"\x"}`, "bad_string"],
  ])("%s", (body, problem) => {
    const result = scanFacts(Buffer.from(body), withTexts);
    expect(result.ok ? undefined : result.problem).toBe(problem as never);
  });

  test("come out as JSON.parse reads them", () => {
    const body = String.raw`{"input":"a\u0000b\ud83e\udd8a\n"}`;
    const result = scanFacts(Buffer.from(body), withTexts);
    expect(result.ok && result.facts.get("input")?.value).toBe(JSON.parse(body).input);
  });
});
