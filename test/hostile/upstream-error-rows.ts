import { expect } from "bun:test";
import { type Answer, headerOf } from "../harness/answer.ts";
import type { Script } from "../harness/fake-upstream.ts";
import { type Parts, raw, rawEnd, rawEndless, rawReset } from "../harness/upstream/faults.ts";
import { canary, type Row } from "./upstream-bench.ts";

/** An error in the provider's own words, with more fields. */
function own(status: number, ...fields: readonly string[]): Script {
  return raw((p) => sized(p, status, p.error(status), fields));
}

function sized(p: Parts, status: number, body: string, fields: readonly string[] = []): string {
  return p.head(`${status} X`, p.json, p.length(body), ...fields) + body;
}

const date = "Date: Wed, 25 Nov 2026 12:00:00 GMT";
const waits: readonly (readonly [field: string, value: string | undefined])[] = [
  ["Retry-After: 7", "7"],
  ["Retry-After: 0", "0"],
  ["Retry-After:   7  ", "7"],
  ["Retry-After: 1.5", "2"],
  ["Retry-After: 86400", "86400"],
  ["Retry-After: 86401", "86400"],
  ["Retry-After: 99999999", "86400"],
  ["Retry-After: 99999999999999999999999999", "86400"],
  ["Retry-After: -5", undefined],
  ["Retry-After: +5", undefined],
  ["Retry-After: 1e9", undefined],
  ["Retry-After: 0x10", undefined],
  ["Retry-After: Infinity", undefined],
  ["Retry-After: NaN", undefined],
  ["Retry-After: soon", undefined],
  ["Retry-After:", undefined],
  ["Retry-After: 5\r\nRetry-After: 99999999", undefined],
  [`${date}\r\nRetry-After: Wed, 25 Nov 2026 12:00:07 GMT`, "7"],
  [`${date}\r\nRetry-After: Wed, 25 Nov 2026 11:00:00 GMT`, "0"],
  [`${date}\r\nRetry-After: Thu, 25 Nov 2027 12:00:00 GMT`, "86400"],
  // Whose clock it is by, nobody knows.
  ["Retry-After: Wed, 25 Nov 2026 12:00:07 GMT", undefined],
  ["Date: yesterday\r\nRetry-After: Wed, 25 Nov 2026 12:00:07 GMT", undefined],
];
const waitsMs: typeof waits = [
  ["Retry-After-Ms: 1500", "1500"],
  ["Retry-After-Ms: 0.5", "1"],
  ["Retry-After-Ms: 99999999999", "86400000"],
  ["Retry-After-Ms: -1", undefined],
  ["Retry-After-Ms: soon", undefined],
];
const again: typeof waits = [
  ["X-Should-Retry: true", "true"],
  ["X-Should-Retry: false", "false"],
  ["X-Should-Retry: perhaps", undefined],
];

function told(name: string, value: string | undefined): (answer: Answer) => void {
  return (answer) => expect(headerOf(answer, name)).toBe(value);
}

export const errorRows: readonly Row[] = [
  ...[400, 404, 405, 409, 413, 422, 429, 499, 500, 501, 502, 503, 504, 520, 529, 599].map(
    (status): Row => [`${status}`, own(status), `own ${status}`],
  ),
  ...[401, 402, 403].flatMap((status): Row[] => [
    [`${status}`, own(status), "upstream_refused_credential", told("x-should-retry", "false")],
    [`${status}, HTML`, raw((p) => sized(p, status, "<html>")), "upstream_refused_credential"],
    [`${status}, and a wait`, own(status, "Retry-After: 7"), "upstream_refused_credential"],
    [
      `${status}, and a login`,
      own(status, "WWW-Authenticate: Basic"),
      "upstream_refused_credential",
    ],
  ]),
  ...[429, 503, 529].flatMap((status) => [
    ...waits.map(
      ([field, value]): Row => [
        `${status} ${field.replace("\r\n", ", ")}`,
        own(status, field),
        `own ${status}`,
        told("retry-after", value),
      ],
    ),
    ...waitsMs.map(
      ([field, value]): Row => [
        `${status} ${field}`,
        own(status, field),
        `own ${status}`,
        told("retry-after-ms", value),
      ],
    ),
    ...again.map(
      ([field, value]): Row => [
        `${status} ${field}`,
        own(status, field),
        `own ${status}`,
        told("x-should-retry", value),
      ],
    ),
  ]),

  // No words that can be passed on: a limit stays one, so that clients wait.
  ...["<html>10.1.2.3</html>", "", "null", '"words"', '{"error":', "busy"].flatMap(
    (body): Row[] => [
      [
        `429 with ${body}`,
        raw((p) => sized(p, 429, body, ["Retry-After: 7"])),
        "all_skipped",
        told("retry-after", "7"),
      ],
      [`500 with ${body}`, raw((p) => sized(p, 500, body)), "upstream_bad_answer"],
      [`400 with ${body}`, raw((p) => sized(p, 400, body)), "upstream_bad_answer"],
    ],
  ),
  [
    "500 with the credential",
    raw((p) => sized(p, 500, p.error(500, `bad key ${canary}`))),
    "upstream_bad_answer",
  ],
  [
    "400 with it in escapes",
    raw((p) => sized(p, 400, p.error(400, "k").replace('"k"', `"\\u0075${canary.slice(1)}"`))),
    "upstream_bad_answer",
  ],
  [
    "500 as events",
    raw((p) => p.head("500 X", p.sse, p.length(p.events)) + p.events),
    "upstream_bad_answer",
  ],
  [
    "500 of 70 KB",
    raw((p) => sized(p, 500, p.error(500, "x".repeat(70_000)))),
    "upstream_bad_answer",
  ],
  [
    "500 that never ends",
    rawEndless((p) => p.head("500 X", p.json, p.chunked), '3\r\n{"a\r\n', 1),
    "upstream_bad_answer",
  ],
  [
    "500 of an unknown coding",
    raw((p) => sized(p, 500, p.error(500), ["Content-Encoding: x-rot13"])),
    "upstream_bad_answer",
  ],
  [
    "500 cut short",
    rawEnd((p) => p.head("500 X", p.json, "Content-Length: 900") + p.error(500)),
    "upstream_bad_answer",
  ],
  [
    "500, then reset",
    rawReset((p) => p.head("500 X", p.json, "Content-Length: 900") + p.error(500)),
    "upstream_bad_answer",
  ],
  [
    "500, then silence",
    raw((p) => p.head("500 X", p.json, "Content-Length: 900") + p.error(500)),
    "upstream_bad_answer",
  ],
  [
    "500 in a drip",
    rawEndless((p) => p.head("500 X", p.json, p.chunked), "1\r\n \r\n", 100),
    "upstream_bad_answer",
  ],
  ["400 without a length", rawEnd((p) => p.head("400 X", p.json) + p.error(400)), "own 400"],
];
