import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorTable } from "../src/errors.ts";

const docs = readFileSync(join(import.meta.dirname, "../docs/errors.md"), "utf8");
const rows = new Map(
  [...docs.matchAll(/^\| `(\w+)` \| (\d{3}) \| (.+) \|$/gm)].map(([, code, status, message]) => [
    code ?? "",
    { status: Number(status), message },
  ]),
);
const known = [400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 426, 429, 500, 502, 503, 504];
const codes = Object.entries(errorTable);

describe("errors", () => {
  test("docs/errors.md lists every code and no other", () => {
    expect([...rows.keys()].sort()).toEqual(codes.map(([code]) => code).sort());
  });

  test.each(codes)(
    "%s: as documented, a status that clients know, a whole sentence",
    (code, spec) => {
      expect(rows.get(code)).toEqual({ ...spec });
      expect(known).toContain(spec.status);
      expect(spec.message).toMatch(/^[A-Z].*[.]$/);
      expect(spec.message.length).toBeLessThan(200);
    },
  );
});
