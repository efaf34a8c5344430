import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { compressed, hangInWhole } from "../harness/scripts.ts";
import { codings, encode } from "../harness/upstream/codings.ts";
import { jsonBody, raw, rawEnd, rawEndless, rawReset } from "../harness/upstream/faults.ts";
import type { Row } from "./upstream-bench.ts";

const html = "<html><h1>502</h1>nginx/1.25 at 10.1.2.3</html>";
/** A reply beyond what is read whole. */
function long(reply: string, bytes = 200_000, filler = "x".repeat(bytes)): string {
  return reply.replace(/\}$/, `,"filler":"${filler}"}`);
}
const noise = randomBytes(90_000).toString("base64");

/** 200 KB that decode to 200 MB. */
const blankBomb = encode("gzip", Buffer.alloc(200_000_000, 0x20));
const jsonBomb = encode("gzip", `{"a":"${"a".repeat(30_000_000)}"}`);

function spoilt(gzip: Buffer): Buffer {
  const at = gzip.byteLength - 8;
  gzip.writeUInt8(gzip.readUInt8(at) ^ 1, at);
  return gzip;
}

export const bodyRows: readonly Row[] = [
  // Ends too early.
  [
    "length too long, FIN",
    rawEnd((p) => p.head("200 OK", p.json, "Content-Length: 5000") + p.reply),
    "upstream_truncated",
  ],
  [
    "length too long, reset",
    rawReset((p) => p.head("200 OK", p.json, "Content-Length: 5000") + p.reply),
    "upstream_truncated",
  ],
  ["length too long, silence", hangInWhole, "upstream_timeout"],
  [
    "nothing but a head",
    rawEnd((p) => p.head("200 OK", p.json, p.length(p.reply))),
    "upstream_truncated",
  ],
  [
    "chunk cut, FIN",
    rawEnd((p) => `${p.head("200 OK", p.json, p.chunked)}ffff\r\n${p.reply}`),
    "upstream_truncated",
  ],
  [
    "chunk cut, reset",
    rawReset((p) => `${p.head("200 OK", p.json, p.chunked)}ffff\r\n${p.reply}`),
    "upstream_truncated",
  ],
  [
    "last chunk missing",
    rawEnd((p) => p.head("200 OK", p.json, p.chunked) + p.chunk(p.reply)),
    "upstream_truncated",
  ],
  [
    "last chunk missing, silence",
    raw((p) => p.head("200 OK", p.json, p.chunked) + p.chunk(p.reply)),
    "upstream_timeout",
  ],
  [
    "no length, cut JSON",
    rawEnd((p) => p.head("200 OK", p.json) + p.reply.slice(0, -9)),
    "upstream_truncated",
  ],
  ["no length, all there", rawEnd((p) => p.head("200 OK", p.json) + p.reply), "whole"],
  [
    "a drip for ever",
    rawEndless((p) => `${p.head("200 OK", p.json, p.chunked)}1\r\n{\r\n`, "1\r\n \r\n", 50),
    "upstream_timeout",
  ],
  [
    "blanks for ever",
    rawEndless((p) => p.head("200 OK", p.json, p.chunked), "1\r\n\n\r\n", 50),
    "upstream_timeout",
  ],
  [
    "blanks, then a reply",
    raw(
      (p) =>
        p.head("200 OK", p.json, p.chunked) + p.chunk("\n".repeat(9)) + p.chunk(p.reply) + p.last,
    ),
    "whole",
  ],

  // Chunks.
  ...["zz", "-1", "0x5", "fffffffffffffffff", "", " 5"].map(
    (size): Row => [
      `chunk size "${size}"`,
      rawEnd((p) => `${p.head("200 OK", p.json, p.chunked)}${size}\r\n${p.reply}`),
      "upstream_bad_answer",
    ],
  ),
  [
    "a chunk size that never ends",
    rawEndless((p) => p.head("200 OK", p.json, p.chunked), "0".repeat(50_000), 1),
    "upstream_bad_answer",
  ],
  [
    "a chunk longer than its size",
    rawEnd((p) => `${p.head("200 OK", p.json, p.chunked)}5\r\n${p.reply}\r\n0\r\n\r\n`),
    "upstream_bad_answer",
  ],
  [
    "chunk extensions",
    raw(
      (p) =>
        p.head("200 OK", p.json, p.chunked) + p.chunk(p.reply).replace("\r\n", ";a=b\r\n") + p.last,
    ),
    "whole",
  ],
  [
    "trailers",
    raw(
      (p) =>
        `${p.head("200 OK", p.json, p.chunked)}${p.chunk(p.reply)}0\r\nX-RateLimit-Trailer: 1\r\nSet-Cookie: a=b\r\n\r\n`,
    ),
    "whole",
    ({ headers }) => expect(headers.map(([name]) => name)).not.toContain("x-ratelimit-trailer"),
  ],
  [
    "chunks of one byte",
    raw((p) => [
      p.head("200 OK", p.json, p.chunked),
      ...[...Buffer.from(p.reply)].map((byte) => Buffer.from([0x31, 13, 10, byte, 13, 10])),
      p.last,
    ]),
    "whole",
  ],
  [
    "on HTTP/1.0 in chunks",
    rawEnd(
      (p) => p.head("200 OK", p.json, p.chunked).replace("1.1", "1.0") + p.chunk(p.reply) + p.last,
    ),
    "whole",
  ],

  // More than an answer.
  [
    "bytes after the body",
    raw((p) => `${p.head("200 OK", p.json, p.length(p.reply))}${p.reply}more bytes`),
    "whole",
  ],
  [
    "an answer nobody asked for",
    raw(
      (p) =>
        p.head("200 OK", p.json, p.length(p.reply)) +
        p.reply +
        p.head("200 OK", p.json, "Content-Length: 16") +
        '{"poison":"yes"}',
    ),
    "whole",
  ],
  [
    "closed right after",
    rawEnd((p) => p.head("200 OK", p.json, p.length(p.reply)) + p.reply),
    "whole",
  ],
  [
    "reset right after",
    rawReset((p) => p.head("200 OK", p.json, p.length(p.reply)) + p.reply),
    "whole",
  ],

  // Not what it says.
  ["empty", jsonBody(() => ""), "upstream_bad_answer"],
  [
    "empty in chunks",
    raw((p) => p.head("200 OK", p.json, p.chunked) + p.last),
    "upstream_bad_answer",
  ],
  ["blanks", jsonBody(() => " \r\n\t"), "upstream_bad_answer"],
  ["HTML as JSON", jsonBody(() => html), "upstream_bad_answer"],
  [
    "HTML as JSON, in chunks",
    raw((p) => p.head("200 OK", p.json, p.chunked) + p.chunk(html) + p.last),
    "upstream_bad_answer",
  ],
  [
    "HTML as HTML",
    raw((p) => p.head("200 OK", "Content-Type: text/html", p.length(html)) + html),
    "upstream_bad_answer",
  ],
  [
    "HTML without a type",
    raw((p) => p.head("200 OK", p.length(html)) + html),
    "upstream_bad_answer",
  ],
  [
    "HTML that never ends",
    rawEndless((p) => p.head("200 OK", p.json, p.chunked), "4\r\n<br>\r\n", 1),
    "upstream_bad_answer",
  ],
  ["words", jsonBody(() => "hello there"), "upstream_bad_answer"],
  ["a JSON string", jsonBody(() => '"hello"'), "upstream_bad_answer"],
  ["null", jsonBody(() => "null"), "upstream_bad_answer"],
  ["binary", jsonBody(() => randomBytes(500).fill(0x80, 0, 1)), "upstream_bad_answer"],
  [
    "JSON as HTML",
    raw((p) => p.head("200 OK", "Content-Type: text/html", p.length(p.reply)) + p.reply),
    "whole",
    ({ headers }) => expect(headers).toContainEqual(["content-type", "application/json"]),
  ],
  ["JSON without a type", raw((p) => p.head("200 OK", p.length(p.reply)) + p.reply), "whole"],
  ["a byte order mark", jsonBody((p) => `\ufeff${p.reply}`), "whole"],
  [
    "bytes that are no UTF-8",
    jsonBody((p) => Buffer.from(p.reply.replace("Hello", "Hello \u00ff"), "latin1")),
    "whole",
  ],
  ["an error with 200", jsonBody((p) => p.error(500)), "own 200"],

  // Codings.
  ...codings.map((coding): Row => [`${coding}, flushed`, compressed(coding), "whole"]),
  ...codings.flatMap((coding): Row[] => {
    const field = `Content-Encoding: ${coding}`;
    // Its decoder takes any end for a good one, so that nothing has come out instead.
    const cut = coding === "zstd" ? "upstream_bad_answer" : "upstream_truncated";
    return [
      [`${coding}, cut`, jsonBody((p) => encode(coding, p.reply).subarray(0, -9), field), cut],
      [`${coding}, nothing`, jsonBody(() => "", field), cut],
      [`${coding}, and it is not`, jsonBody((p) => p.reply, field), "upstream_bad_answer"],
    ];
  }),
  ["gzip by no name", jsonBody((p) => encode("gzip", p.reply)), "upstream_bad_answer"],
  [
    "gzip as br",
    jsonBody((p) => encode("gzip", p.reply), "Content-Encoding: br"),
    "upstream_bad_answer",
  ],
  [
    "gzip with a spoilt sum",
    jsonBody((p) => spoilt(encode("gzip", p.reply)), "Content-Encoding: gzip"),
    "upstream_bad_answer",
  ],
  ...["x-rot13", "compress", "gzip, gzip", "identity, gzip", "gzip, br", "__proto__", "*"].map(
    (coding): Row => [
      `coding ${coding}`,
      jsonBody((p) => encode("gzip", p.reply), `Content-Encoding: ${coding}`),
      "upstream_bad_answer",
    ],
  ),
  [
    "two codings in two fields",
    jsonBody(
      (p) => encode("br", encode("gzip", p.reply)),
      "Content-Encoding: gzip",
      "Content-Encoding: br",
    ),
    "upstream_bad_answer",
  ],
  ["identity", jsonBody((p) => p.reply, "Content-Encoding: identity"), "whole"],
  [
    "coding in capitals",
    jsonBody((p) => encode("gzip", p.reply), "Content-Encoding: GZIP"),
    "whole",
  ],
  ["a bomb of blanks", jsonBody(() => blankBomb, "Content-Encoding: gzip"), "upstream_bad_answer"],
  ["a bomb that begins as JSON", jsonBody(() => jsonBomb, "Content-Encoding: gzip"), "cut"],
];

export const longRows: readonly Row[] = [
  ["all there", jsonBody((p) => long(p.reply)), "whole"],
  [
    "all there, in chunks",
    raw((p) => p.head("200 OK", p.json, p.chunked) + p.chunk(long(p.reply)) + p.last),
    "whole",
  ],
  ["just too long to be read whole", jsonBody((p) => long(p.reply, 65_536)), "whole"],
  [
    "FIN",
    rawEnd((p) => p.head("200 OK", p.json, "Content-Length: 900000") + long(p.reply)),
    "broken",
  ],
  [
    "reset",
    rawReset((p) => p.head("200 OK", p.json, "Content-Length: 900000") + long(p.reply)),
    "broken",
  ],
  [
    "silence",
    raw((p) => p.head("200 OK", p.json, "Content-Length: 900000") + long(p.reply)),
    "broken",
  ],
  [
    "last chunk missing",
    rawEnd((p) => p.head("200 OK", p.json, p.chunked) + p.chunk(long(p.reply))),
    "broken",
  ],
  [
    "bad chunk size",
    rawEnd((p) => `${p.head("200 OK", p.json, p.chunked)}${p.chunk(long(p.reply))}zz\r\n`),
    "broken",
  ],
  [
    "no length, cut JSON",
    rawEnd((p) => p.head("200 OK", p.json) + long(p.reply).slice(0, -9)),
    "broken",
  ],
  [
    "gzip, cut",
    jsonBody(
      (p) => encode("gzip", long(p.reply, 0, noise)).subarray(0, -9),
      "Content-Encoding: gzip",
    ),
    "broken",
  ],
  ["HTML", jsonBody(() => html.repeat(5000)), "upstream_bad_answer"],
];
