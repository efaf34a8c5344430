import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { AdminCall, AdminHandler, AdminOperation } from "../../src/contract/admin.ts";
import type { SecurityEvent } from "../../src/contract/policy.ts";
import { digestOf } from "../../src/kit/digest.ts";
import { handleAdmin } from "../../src/management/handle.ts";
import { bodyBytes } from "../../src/management/input.ts";
import { mountOperations, toPattern } from "../../src/management/mount.ts";
import { adminPaths } from "../../src/management/routes.ts";
import { createStubHouse, startExchange } from "../harness/stubs.ts";

const operation: AdminOperation = {
  id: "setThing",
  method: "PUT",
  path: "/things/{name}",
  summary: "Sets a thing.",
  body: v.strictObject({
    token: v.pipe(v.string(), v.minLength(3)),
    mode: v.optional(v.picklist(["on", "off"])),
    count: v.optional(
      v.pipe(
        v.number(),
        v.check((n) => n !== 13, "is bad luck"),
      ),
    ),
  }),
  status: 200,
  refusals: [],
};

interface Asked {
  readonly body?: BodyInit;
  readonly headers?: Record<string, string>;
  readonly query?: string;
  readonly params?: Record<string, string>;
  readonly run?: AdminHandler;
  readonly on?: Partial<AdminOperation>;
}

async function ask(asked: Asked) {
  const events: SecurityEvent[] = [];
  const calls: AdminCall[] = [];
  const { body = '{"token":"abc"}', headers = {}, query = "", params = { name: "one" } } = asked;
  const x = startExchange(createStubHouse(), {
    method: "PUT",
    url: `http://127.0.0.1/v0/management/things/one${query}`,
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  const run: AdminHandler = (call) => {
    calls.push(call);
    return asked.run?.(call) ?? { body: { done: true } };
  };
  const mounted = { operation: { ...operation, ...asked.on } as AdminOperation, run };
  const budget = { held: 0 };
  const house = {
    budget,
    bodyBytesInFlight: 4 * bodyBytes,
    emit: (event: SecurityEvent) => void events.push(event),
  };
  const response = await handleAdmin(x, mounted, params, house);
  return { status: response.status, text: await response.text(), response, events, calls, budget };
}

describe("the body", () => {
  type Row = readonly [name: string, asked: Asked, status: number, says: string];
  const rows: readonly Row[] = [
    ["good", {}, 200, "done"],
    ["with a charset", { headers: { "content-type": "application/json; charset=utf-8" } }, 200, ""],
    ["a form", { headers: { "content-type": "application/x-www-form-urlencoded" } }, 415, "JSON"],
    ["plain text", { headers: { "content-type": "text/plain" } }, 415, "Content-Type"],
    ["nearly JSON", { headers: { "content-type": "application/jsonp" } }, 415, "JSON"],
    ["not JSON", { body: "{" }, 400, "not JSON"],
    ["empty", { body: "" }, 400, "not JSON"],
    ["invalid UTF-8", { body: new Uint8Array([0x22, 0xff, 0x22]) }, 400, "UTF-8"],
    ["a list", { body: "[]" }, 422, "`token` is missing"],
    ["text", { body: '"token"' }, 422, "the body must be Object"],
    ["unknown key", { body: '{"token":"abc","tokn":1}' }, 422, "`tokn` is not known here"],
    ["missing key", { body: "{}" }, 422, "`token` is missing"],
    ["wrong type", { body: '{"token":777333}' }, 422, "`token` must be string"],
    ["a choice", { body: '{"token":"abc","mode":"planted"}' }, 422, "`mode` must be"],
    ["our words", { body: '{"token":"abc","count":13}' }, 422, "`count` is bad luck"],
    ["at the limit", { body: `{"token":"abc"}${" ".repeat(bodyBytes - 15)}` }, 200, ""],
    ["one above", { body: `{"token":"abc"}${" ".repeat(bodyBytes - 14)}` }, 413, "1048576"],
    ["compressed", { headers: { "content-encoding": "gzip" } }, 415, ""],
    ["an unknown query", { query: "?force=1" }, 400, "`force` is not known here"],
    ["a name with a slash", { params: { name: "a/b" } }, 404, ""],
    ["an empty name", { params: { name: "" } }, 404, ""],
  ];
  test.each(rows)("%s", async (_name, asked, status, says) => {
    const reply = await ask(asked);
    expect(reply.status).toBe(status);
    expect(reply.text).toContain(says);
    expect(reply.calls.length).toBe(status === 200 ? 1 : 0);
    expect(reply.budget.held).toBe(0);
  });

  test.each(['{"token":"hi"}', '{"token":"abc","mode":"planted"}', '{"token":["planted"]}'])(
    "a refusal never repeats what was sent: %s",
    async (body) => {
      const { text } = await ask({ body });
      expect(text).not.toContain("planted");
      expect(text).not.toContain('"hi"');
    },
  );
});

describe("a write", () => {
  test("is told with who, what, and digests", async () => {
    const before = { token: "old-secret" };
    const after = { token: "new-secret" };
    const { events } = await ask({ run: () => ({ change: { what: "thing one", before, after } }) });
    expect(events).toMatchObject([
      {
        type: "config_change",
        result: "applied",
        ip: "203.0.113.9",
        details: {
          operation: "setThing",
          what: "thing one",
          before: digestOf(before),
          after: digestOf(after),
        },
      },
    ]);
    expect(JSON.stringify(events)).not.toContain("secret");
  });

  test("that is refused is told too", async () => {
    const { status, events } = await ask({ run: () => ({ deny: "conflict" }) });
    expect(status).toBe(409);
    expect(events).toMatchObject([{ type: "config_change", result: "conflict" }]);
  });

  test("a read is not told", async () => {
    const { events } = await ask({ on: { method: "GET" } });
    expect(events).toEqual([]);
  });
});

describe("If-Match", () => {
  const rows: readonly (readonly [sent: string | undefined, status: number])[] = [
    [undefined, 200],
    ['"7"', 200],
    ['"6", "7"', 200],
    ["*", 200],
    ['"6"', 412],
    ['W/"7"', 412],
    ["7", 412],
    ["", 412],
  ];
  test.each(rows)("%s against version 7", async (sent, status) => {
    const headers = sent === undefined ? {} : { "if-match": sent };
    const run: AdminHandler = (call) => call.mismatch("7") ?? { body: {}, version: "8" };
    const reply = await ask({ headers, run });
    expect(reply.status).toBe(status);
    expect(reply.response.headers.get("etag")).toBe(status === 200 ? '"8"' : null);
  });
});

describe("mounting", () => {
  test("an operation without a handler is a fault, one of a policy that is off says so", async () => {
    expect(() => mountOperations("p", [operation], {})).toThrow("setThing");
    const [off] = mountOperations("p", [operation], undefined);
    expect(await off?.run({} as AdminCall)).toMatchObject({
      deny: "not_found",
      message: expect.stringContaining("p is not enabled"),
    });
  });

  test("the same operation twice is a fault", () => {
    const mounted = { operation, run: () => ({}) };
    const house = { budget: { held: 0 }, bodyBytesInFlight: 1, emit: () => {} };
    expect(() => adminPaths([mounted, mounted], house)).toThrow("twice");
  });

  test("patterns", () => {
    expect(toPattern({ ...operation, path: "/a/{b}/{c}" })).toBe("/v0/management/a/:b/:c");
  });
});

describe("digestOf", () => {
  const rows: readonly (readonly [a: unknown, b: unknown, same: boolean])[] = [
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
    [{ a: { c: 1, b: 2 } }, { a: { b: 2, c: 1 } }, true],
    [[1, 2], [2, 1], false],
    [undefined, null, true],
    [{}, undefined, false],
  ];
  test.each(rows)("%j and %j", (a, b, same) => {
    expect(digestOf(a) === digestOf(b)).toBe(same);
  });
});
