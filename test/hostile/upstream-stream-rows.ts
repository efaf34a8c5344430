import { expect } from "bun:test";
import type { Answer } from "../harness/answer.ts";
import { bomb, compressed, pingsAndComments, split, withLimits } from "../harness/scripts.ts";
import { codings, encode } from "../harness/upstream/codings.ts";
import {
  type Parts,
  raw,
  rawEnd,
  rawEndless,
  rawLater,
  rawReset,
  sseBody,
} from "../harness/upstream/faults.ts";
import type { Row } from "./upstream-bench.ts";

const truncated = "event upstream_truncated";
const timeout = "event upstream_timeout";
const html = "<html><h1>502</h1>nginx/1.25</html>";

/** The head of a chunked stream, and its first events. */
function begun(p: Parts): string {
  return p.head("200 OK", p.sse, p.chunked) + p.chunk(p.beginning);
}

/** All events, and what the framing would still have to say. */
function unframed(p: Parts): string {
  return p.head("200 OK", p.sse, p.chunked) + p.chunk(p.events);
}

function noneOfOurs({ body }: Answer): void {
  expect(body).not.toContain("The provider");
}

export const streamRows: readonly Row[] = [
  // Ends before its terminal event.
  ["FIN", rawEnd(begun), truncated],
  ["reset", rawReset(begun), truncated],
  ["a clean end", raw((p) => begun(p) + p.last), truncated],
  ["closed, no length", rawEnd((p) => p.head("200 OK", p.sse) + p.beginning), truncated],
  [
    "length too long",
    rawEnd((p) => `${p.head("200 OK", p.sse, "Content-Length: 90000")}${p.beginning}`),
    truncated,
  ],
  ["cut in an event", sseBody((p) => p.beginning.slice(0, -20)), truncated],
  ["cut in the terminal event", sseBody((p) => p.beginning + p.ending.slice(0, -12)), truncated],
  [
    "cut in a chunk",
    rawEnd((p) => `${p.head("200 OK", p.sse, p.chunked)}ffff\r\n${p.beginning}`),
    truncated,
  ],
  ["bad chunk size", rawEnd((p) => `${begun(p)}zz\r\n`), truncated],
  ["no event", sseBody(() => ""), truncated],
  ["comments alone", sseBody(() => ": a\n\n: b\n\n"), truncated],
  ["blank lines alone", sseBody(() => "\n\n\r\n\r\r\n"), truncated],
  ["HTML", sseBody(() => html), truncated],
  ["JSON", sseBody((p) => p.reply), truncated],
  ["no blank line between events", sseBody((p) => p.events.replaceAll("\n\n", "\n")), truncated],
  [
    "the terminal event in a string",
    sseBody((p) => `${p.beginning}data: "${JSON.stringify(p.ending).slice(1, -1)}\n\n`),
    truncated,
  ],
  [
    "the terminal event in a comment",
    sseBody((p) => `${p.beginning}${p.ending.replace(/^/gm, ": ")}\n`),
    truncated,
  ],

  // Silence and drips.
  ["silence", raw(begun), timeout],
  ["silence after the head", raw((p) => p.head("200 OK", p.sse, p.chunked)), timeout],
  [
    "one byte at a time, for ever",
    rawEndless((p) => `${begun(p)}7\r\ndata: {\r\n`, "1\r\n \r\n", 100),
    timeout,
  ],
  ["comments for ever", rawEndless(begun, "4\r\n: a\n\r\n", 100), timeout],
  ["chunk extensions for ever", rawEndless((p) => `${begun(p)}1;`, "a", 100), timeout],

  // Complete for the dialect: how the connection ends is no matter.
  ["all, then FIN", rawLater(unframed, () => ""), "whole"],
  ["all, then reset", rawReset(unframed), "whole"],
  ["all, then silence", raw(unframed), "whole"],
  ["all, then a bad chunk", rawLater(unframed, () => "zz\r\n"), "whole"],
  ["all, then comments for ever", rawEndless(unframed, "4\r\n: a\n\r\n", 100), "whole"],
  ["all, then other bytes", sseBody((p) => `${p.events}data: more\n\nand more`), "whole"],
  ["all, no length", rawEnd((p) => p.head("200 OK", p.sse) + p.events), "whole"],

  // The provider's own error: no second one behind it.
  ["its error", sseBody((p) => p.beginning + p.failure), "own 200", noneOfOurs],
  ["its error first", sseBody((p) => p.failure), "own 200", noneOfOurs],
  ["its error, then reset", rawReset((p) => begun(p) + p.chunk(p.failure)), "own 200", noneOfOurs],
  ["its error, then silence", raw((p) => begun(p) + p.chunk(p.failure)), "own 200", noneOfOurs],

  // Odd, but good.
  ["CRLF", sseBody((p) => p.events.replaceAll("\n", "\r\n")), "whole"],
  ["CR", sseBody((p) => p.events.replaceAll("\n", "\r")), "whole"],
  ["a byte order mark", sseBody((p) => `\ufeff${p.events}`), "whole"],
  ["pings and comments", pingsAndComments, "whole"],
  ["ids and retries", sseBody((p) => `retry: 1\nid: 7\n\n${p.events}`), "whole"],
  [
    "no space after the colon",
    sseBody((p) => p.events.replaceAll(/^(data|event): /gm, "$1:")),
    "whole",
  ],
  ["NUL in data", sseBody((p) => p.events.replace("Hello", "Hello\\u0000\0")), "whole"],
  [
    "bytes that are no UTF-8",
    sseBody((p) => Buffer.from(p.events.replace("Hello", "Hello\u00ff"), "latin1")),
    "whole",
  ],
  [
    "an event of 10 MB",
    sseBody((p) => `data: {"x":"${"x".repeat(10_000_000)}"}\n\n${p.events}`),
    "whole",
  ],
  ["100,000 events in one piece", sseBody((p) => ": a\n\n".repeat(100_000) + p.events), "whole"],
  ["in pieces of one byte", split(1), "whole"],
  ["in pieces of two bytes", split(2), "whole"],
  ["with limits", withLimits(), "whole"],
  ["no charset", rawEnd((p) => p.head("200 OK", p.sse) + p.events), "whole"],

  // Under a wrong name.
  ...["text/html", "text/plain", "application/json", "application/octet-stream", ""].map(
    (type): Row => [
      `as "${type}"`,
      rawEnd((p) => p.head("200 OK", `Content-Type: ${type}`) + p.events),
      "whole",
      ({ headers }) => expect(headers).toContainEqual(["content-type", "text/event-stream"]),
    ],
  ),
  [
    "cut, as text/html",
    rawEnd((p) => p.head("200 OK", "Content-Type: text/html") + p.beginning),
    truncated,
  ],
  [
    "as text/html with its length",
    raw((p) => p.head("200 OK", "Content-Type: text/html", p.length(p.events)) + p.events),
    "whole",
  ],
  [
    "an odd type",
    rawEnd((p) => p.head("200 OK", "Content-Type: text/event-stream; secret=10.1.2.3") + p.events),
    "whole",
  ],

  // Codings.
  ...codings.flatMap((coding): Row[] => {
    const field = `Content-Encoding: ${coding}`;
    return [
      [coding, compressed(coding), "whole"],
      [
        `${coding}, cut`,
        sseBody((p) => encode(coding, p.events).subarray(0, -20), field),
        truncated,
      ],
      [`${coding}, and it is not`, sseBody((p) => p.events, field), truncated],
      [
        `${coding}, truncated inside`,
        sseBody((p) => encode(coding, p.beginning), field),
        truncated,
      ],
    ];
  }),
  ["unknown coding", sseBody((p) => p.events, "Content-Encoding: x-rot13"), "upstream_bad_answer"],
  [
    "two codings",
    sseBody((p) => encode("gzip", encode("gzip", p.events)), "Content-Encoding: gzip, gzip"),
    "upstream_bad_answer",
  ],
  ["a bomb", bomb(200), truncated],
];
