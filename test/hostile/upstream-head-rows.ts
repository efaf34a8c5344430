import { expect } from "bun:test";
import { dropAtOnce, hangBeforeHead } from "../harness/scripts.ts";
import { jsonBody, raw, rawEnd, rawEndless, rawReset } from "../harness/upstream/faults.ts";
import type { Row } from "./upstream-bench.ts";

const hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n";
const goOn = "HTTP/1.1 100 Continue\r\n\r\n";
const big = "a".repeat(1024 * 1024);

/** A whole good answer whose head is spoilt by one more field. */
function withField(field: string) {
  return jsonBody((p) => p.reply, field);
}

/** A whole good answer under another status line. */
function withStatus(line: string) {
  return rawEnd(
    (p) => p.head("200 OK", p.json, p.length(p.reply)).replace("HTTP/1.1 200 OK", line) + p.reply,
  );
}

export const headRows: readonly Row[] = [
  // No answer.
  ["reset at once", dropAtOnce("reset"), "upstream_unreachable"],
  ["end at once", dropAtOnce("end"), "upstream_unreachable"],
  ["reset in the head", rawReset((p) => p.head("200 OK").slice(0, 30)), "upstream_unreachable"],
  ["end in the head", rawEnd((p) => p.head("200 OK").slice(0, 30)), "upstream_unreachable"],
  ["silence before the head", hangBeforeHead, "upstream_timeout"],
  ["silence in the head", raw((p) => p.head("200 OK").slice(0, 30)), "upstream_timeout"],
  ["a head that drips", rawEndless(() => "HTTP/1.1 200 OK\r\nX-A: ", "a", 20), "upstream_timeout"],
  [
    "fields that never end",
    rawEndless(() => "HTTP/1.1 200 OK\r\n", "X-A: b\r\n", 20),
    "upstream_timeout",
  ],
  ["100, then silence", raw(() => goOn), "upstream_timeout"],
  ["1xx for ever", rawEndless(() => "", goOn.repeat(100), 1), "upstream_timeout"],

  // No HTTP.
  ["another protocol", rawEnd(() => "SSH-2.0-OpenSSH_9.2\r\n\r\n"), "upstream_bad_answer"],
  ["HTTP/0.9", rawEnd(() => "<html>hello\r\n\r\n"), "upstream_unreachable"],
  ["HTTP/2 by name", withStatus("HTTP/2.0 200 OK"), "upstream_bad_answer"],
  [
    "HTTP/2 frames",
    rawEnd(() => new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0])),
    "upstream_unreachable",
  ],
  ["ICY", withStatus("ICY 200 OK"), "upstream_bad_answer"],
  [
    "blank lines first",
    rawEnd((p) => `\r\n\r\n${p.head("200 OK", p.json, p.length(p.reply))}`),
    "upstream_bad_answer",
  ],
  ["a TLS alert", rawEnd(() => new Uint8Array([21, 3, 1, 0, 2, 2, 70])), "upstream_unreachable"],

  // Status.
  ["status abc", withStatus("HTTP/1.1 abc OK"), "upstream_bad_answer"],
  ["status 20", withStatus("HTTP/1.1 20 OK"), "upstream_bad_answer"],
  ["status 2000", withStatus("HTTP/1.1 2000 OK"), "upstream_bad_answer"],
  ["status -1", withStatus("HTTP/1.1 -1 OK"), "upstream_bad_answer"],
  ...["000", "099", "600", "999"].map(
    (status): Row => [
      `status ${status}`,
      withStatus(`HTTP/1.1 ${status} X`),
      "upstream_bad_answer",
    ],
  ),
  [
    "101",
    raw((p) => p.head("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")),
    "upstream_bad_answer",
  ],
  ...[
    "204 No Content",
    "304 Not Modified",
    "205 Reset Content",
    "226 IM Used",
    "206 Partial Content",
  ].map(
    (status): Row => [
      status,
      raw((p) => p.head(status, "Content-Length: 0")),
      "upstream_bad_answer",
    ],
  ),
  ["206 with a body", withStatus("HTTP/1.1 206 Partial Content"), "upstream_bad_answer"],
  ...[300, 301, 302, 303, 305, 307, 308, 399].map(
    (status): Row => [
      `${status}`,
      raw((p) => p.head(`${status} X`, "Location: http://127.0.0.1:1/", "Content-Length: 0")),
      "upstream_bad_answer",
    ],
  ),
  ["no reason", raw((p) => p.head("200", p.json, p.length(p.reply)) + p.reply), "whole"],
  ["HTTP/1.0", withStatus("HTTP/1.0 200 OK"), "whole"],
  ["100 first", raw((p) => goOn + p.head("200 OK", p.json, p.length(p.reply)) + p.reply), "whole"],
  [
    "103 first",
    raw((p) => hints + p.head("200 OK", p.json, p.length(p.reply)) + p.reply),
    "whole",
    ({ headers }) => expect(headers.some(([name]) => name === "link")).toBe(false),
  ],
  [
    "10,000 times 100 first",
    raw((p) => goOn.repeat(10_000) + p.head("200 OK", p.json, p.length(p.reply)) + p.reply),
    "whole",
  ],

  // Fields.
  [
    "LF alone ends lines",
    raw((p) => p.head("200 OK", p.json, p.length(p.reply)).replaceAll("\r\n", "\n") + p.reply),
    "whole",
  ],
  ["a field of 1 MB", withField(`X-Big: ${big}`), "whole"],
  [
    "a limit of 1 MB",
    withField(`X-RateLimit-Big: ${big}`),
    "whole",
    ({ text }) => expect(text.length).toBeLessThan(3000),
  ],
  [
    "a content type of 1 MB",
    raw((p) => p.head("200 OK", `Content-Type: ${big}`, p.length(p.reply)) + p.reply),
    "whole",
    ({ text }) => expect(text.length).toBeLessThan(3000),
  ],
  [
    "200 limits",
    withField(Array.from({ length: 200 }, (_, i) => `X-RateLimit-${i}: 1`).join("\r\n")),
    "whole",
    ({ headers }) =>
      expect(
        headers.filter(([name]) => name.startsWith("x-ratelimit-")).length,
      ).toBeLessThanOrEqual(32),
  ],
  [
    "10,000 fields",
    withField(Array.from({ length: 10_000 }, (_, i) => `X-RateLimit-${i}: 1`).join("\r\n")),
    "upstream_bad_answer",
  ],
  [
    "a field without a colon",
    rawEnd((p) => p.head("200 OK", p.json, "no colon")),
    "upstream_bad_answer",
  ],
  [
    "a space before the colon",
    rawEnd((p) => p.head("200 OK", p.json, "X-RateLimit-A : 1")),
    "upstream_bad_answer",
  ],
  [
    "a folded field",
    rawEnd((p) => p.head("200 OK", p.json, "X-RateLimit-A: 1\r\n 2")),
    "upstream_bad_answer",
  ],
  [
    "NUL in a field",
    rawEnd((p) => p.head("200 OK", p.json, "X-RateLimit-A: 1\0")),
    "upstream_bad_answer",
  ],
  [
    "CR in a field",
    rawEnd((p) => p.head("200 OK", p.json, "X-RateLimit-A: 1\rSet-Cookie: a=b")),
    "upstream_bad_answer",
  ],
  ["LF in a field", withField("X-RateLimit-A: 1\nSet-Cookie: a=b"), "whole"],
  [
    "other letters in a field",
    withField("X-RateLimit-A: \u00e9"),
    "whole",
    ({ headers }) => expect(headers.some(([name]) => name === "x-ratelimit-a")).toBe(false),
  ],
  [
    "headers of our own",
    withField(
      "X-Content-Type-Options: off\r\nContent-Security-Policy: default-src *\r\nX-Request-Id: theirs\r\nCache-Control: public",
    ),
    "whole",
    ({ headers, text }) => {
      for (const theirs of ["default-src *", ": off", ": public"]) {
        expect(text).not.toContain(theirs);
      }
      const of = (name: string) => headers.filter(([n]) => n === name).map(([, value]) => value);
      expect(of("cache-control")).toEqual(["no-store"]);
      expect(of("x-request-id")[0]).toStartWith("req_");
    },
  ],

  // Framing.
  [
    "two equal lengths",
    raw((p) => p.head("200 OK", p.json, p.length(p.reply), p.length(p.reply)) + p.reply),
    "whole",
  ],
  [
    "two lengths",
    raw((p) => p.head("200 OK", p.json, p.length(p.reply), "Content-Length: 3") + p.reply),
    "upstream_bad_answer",
  ],
  ...["-5", "abc", "0x10", "5, 5", "+5", "5.0", "99999999999999999999"].map(
    (length): Row => [
      `length ${length}`,
      rawEnd((p) => p.head("200 OK", p.json, `Content-Length: ${length}`) + p.reply),
      "upstream_bad_answer",
    ],
  ),
  [
    "length and chunks",
    raw(
      (p) => p.head("200 OK", p.json, "Content-Length: 3", p.chunked) + p.chunk(p.reply) + p.last,
    ),
    "whole",
  ],
  [
    "unknown transfer coding",
    rawEnd((p) => p.head("200 OK", p.json, "Transfer-Encoding: xchunked") + p.reply),
    "upstream_bad_answer",
  ],
];
