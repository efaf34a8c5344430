import {
  bodyOf,
  call,
  chat,
  chunk,
  chunkedCall,
  chunkedLine,
  denied,
  head,
  hidden,
  host,
  key,
  ownChunk,
  ownModel,
  type Row,
  refused,
  toCase,
  type Verdict,
  type WireCase,
} from "./wire-case.ts";

const ok: readonly Verdict[] = ["200 open", "200 closed"];
const notTaken: readonly Verdict[] = ["400 closed", "501 closed", "505 closed", "closed"];
const last = "0\r\n\r\n";

/** A call framed by the given lines alone; what follows its body is a hidden request. */
const framed =
  (...lines: readonly string[]) =>
  (id: string): string => {
    const body = bodyOf(ownModel(id));
    const named = lines.map((line) => line.replace("#", String(body.length)));
    return head(`POST ${chat} HTTP/1.1`, [host, key, ...named], body + hidden(id));
  };
/** The same where the length is right, so that what followed would be a request of its own. */
const whole =
  (...lines: readonly string[]) =>
  (id: string): string =>
    framed(...lines)(id).replace(hidden(id), "");
/** A chunked call with other framing lines beside it. */
const beside =
  (...lines: readonly string[]) =>
  (id: string): string =>
    head(`POST ${chat} HTTP/1.1`, [host, key, ...lines], `${ownChunk(id)}${last}${hidden(id)}`);
const alone =
  (...lines: readonly string[]) =>
  (id: string): string =>
    beside(...lines)(id).replace(hidden(id), "");
/** A chunked call whose first chunk has another size line. */
const sized =
  (size: (hex: string) => string, behind: (id: string) => string = hidden) =>
  (id: string): string =>
    chunkedCall(ownChunk(id).replace(/^[0-9a-f]+/, (hex) => size(hex)) + last + behind(id));
const nothing = (): string => "";
const chunks = (wire: (own: string, id: string) => string) => (id: string) =>
  chunkedCall(wire(ownChunk(id), id));

const lengths: readonly Row[] = [
  ["B17a", "length, then chunks", beside("Content-Length: 5", chunkedLine), refused],
  ["B17b", "chunks, then length", beside(chunkedLine, "Content-Length: 5"), refused],
  ["B17c", "chunks and length 0", beside(chunkedLine, "Content-Length: 0"), refused],
  ["B18a", "two lengths", framed("Content-Length: #", "Content-Length: 5"), refused],
  [
    "B18b",
    "two lengths, short one first",
    framed("Content-Length: 5", "Content-Length: #"),
    refused,
  ],
  ["B18c", "the same length twice", framed("Content-Length: #", "Content-Length: #"), refused],
  ["B18d", "a list of the same lengths", framed("Content-Length: #, #"), refused],
  ["B18e", "a list of lengths", framed("Content-Length: #, 5"), refused],
  ["B19a", "length with a plus", framed("Content-Length: +5"), refused],
  ["B19b", "negative length", framed("Content-Length: -1"), refused],
  ["B19c", "length in hexadecimal", framed("Content-Length: 0x5"), refused],
  ["B19d", "length with a letter", framed("Content-Length: 5a"), refused],
  ["B19e", "length with a point", framed("Content-Length: 5.0"), refused],
  ["B19f", "empty length", framed("Content-Length:"), refused],
  ["B19g", "length beyond 2^64", framed("Content-Length: 18446744073709551621"), refused],
  ["B19h", "length of 30 digits", framed(`Content-Length: ${"9".repeat(30)}`), refused],
  ["B19i", "length with an underscore", framed("Content-Length: 1_0"), refused],
  ["B19j", "length in other digits", framed("Content-Length: \xb2"), refused],
  ["B19k", "length with a space inside", framed("Content-Length: 1 0"), refused],
  ["B19l", "length with a NUL", framed("Content-Length: 5\0"), refused],
  [
    "B19m",
    "length with spaces around",
    whole("Content-Length:   #  "),
    [...ok, "closed", ...refused],
    1,
  ],
  ["B19n", "length with a vertical tab", framed("Content-Length: \v5"), refused],
  [
    "B19o",
    "length 2^53",
    framed("Content-Length: 9007199254740993"),
    [...denied(413), "413 swallows", ...refused],
  ],
  ["B19p", "exponent", framed("Content-Length: 1e1"), refused],
];

const codings: readonly Row[] = [
  ["B20a", "unknown coding", beside("Transfer-Encoding: xchunked"), notTaken],
  ["B20b", "identity", beside("Transfer-Encoding: identity"), notTaken],
  ["B20c", "chunked, identity", beside("Transfer-Encoding: chunked, identity"), notTaken],
  ["B20d", "identity, chunked", beside("Transfer-Encoding: identity, chunked"), notTaken],
  ["B20e", "gzip, chunked", beside("Transfer-Encoding: gzip, chunked"), notTaken],
  ["B20f", "chunked, gzip", beside("Transfer-Encoding: chunked, gzip"), notTaken],
  ["B20g", "chunked twice in a list", beside("Transfer-Encoding: chunked, chunked"), notTaken],
  ["B20h", "two codings", beside(chunkedLine, "Transfer-Encoding: identity"), notTaken],
  [
    "B20i",
    "two codings, chunked last",
    beside("Transfer-Encoding: identity", chunkedLine),
    notTaken,
  ],
  ["B20j", "chunked in two fields", beside(chunkedLine, chunkedLine), notTaken],
  ["B20k", "chunked in quotes", beside('Transfer-Encoding: "chunked"'), notTaken],
  ["B20l", "chunked with a parameter", beside("Transfer-Encoding: chunked;q=1"), notTaken],
  ["B20m", "empty coding", beside("Transfer-Encoding:"), notTaken],
  ["B20n", "vertical tab before chunked", beside("Transfer-Encoding: \vchunked"), notTaken],
  ["B20o", "NUL behind chunked", beside("Transfer-Encoding: chunked\0"), notTaken],
  ["B20p", "empty members", beside("Transfer-Encoding: , chunked,"), notTaken],
  ["B20q", "chunked in capitals", alone("Transfer-Encoding: CHUNKED"), [...ok, ...notTaken], 1],
  ["B20r", "no-break space", beside("Transfer-Encoding: chunked\xa0"), notTaken],
  ["B20s", "chunke", beside("Transfer-Encoding: chunke"), notTaken],
  [
    "B20t",
    "coding on a GET",
    (id) => `${head("GET /v1/models HTTP/1.1", [host, key, "Transfer-Encoding: x"])}${hidden(id)}`,
    notTaken,
  ],
  ["B21a", "folded coding", beside("Transfer-Encoding:\r\n chunked"), notTaken],
  ["B21b", "folded behind chunked", beside("Transfer-Encoding: chunked\r\n , identity"), notTaken],
  ["B22a", "space before the colon", beside("Transfer-Encoding : chunked"), notTaken],
  ["B22b", "tab before the colon", beside("Transfer-Encoding\t: chunked"), notTaken],
  ["B22c", "space before the colon of the length", framed("Content-Length : 5"), notTaken],
  [
    "B22d",
    "hidden behind a carriage return",
    framed("X: a\rTransfer-Encoding: chunked", "Content-Length: #"),
    notTaken,
  ],
  [
    "B22e",
    "hidden behind a line feed",
    framed("X: a\nTransfer-Encoding: chunked", "Content-Length: #"),
    notTaken,
  ],
  [
    "B22f",
    "hidden behind a NUL",
    framed("X: a\0\r\nTransfer-Encoding: chunked", "Content-Length: #"),
    notTaken,
  ],
  [
    "B22g",
    "space in front of the name",
    framed(" Transfer-Encoding: chunked", "Content-Length: #"),
    notTaken,
  ],
  [
    "B23a",
    "underscores: no framing",
    whole("Transfer_Encoding: chunked", "Content-Length: #"),
    [...ok, "closed"],
    1,
  ],
  [
    "B23b",
    "underscore in the length",
    whole("Content_Length: 5", "Content-Length: #"),
    [...ok, "closed"],
    1,
  ],
  [
    "B23c",
    "framing named as hop-by-hop",
    whole("Connection: content-length", "Content-Length: #"),
    [...ok, ...notTaken],
    1,
  ],
  [
    "B23d",
    "coding named as hop-by-hop",
    alone("Connection: transfer-encoding", chunkedLine),
    [...ok, ...notTaken],
    1,
  ],
  [
    "B24a",
    "chunks on HTTP/1.0",
    (id) => beside(chunkedLine)(id).replace("HTTP/1.1", "HTTP/1.0"),
    notTaken,
  ],
  [
    "B24b",
    "kept alive on HTTP/1.0",
    (id) =>
      whole("Connection: keep-alive", "Content-Length: #")(id).replace("HTTP/1.1", "HTTP/1.0"),
    [...ok, ...notTaken],
    1,
  ],
];

const bodies: readonly Row[] = [
  ["B25a", "chunk extension", sized((hex) => `${hex};a=b`, nothing), [...ok, ...notTaken], 1],
  ["B25b", "line feed in a chunk extension", sized((hex) => `${hex};a\nb`), notTaken],
  ["B25c", "line feed ends a chunk extension", sized((hex) => `${hex};a\n`), notTaken],
  ["B25d", "carriage return in a chunk extension", sized((hex) => `${hex};a\rb`), notTaken],
  [
    "B25e",
    "quoted chunk extension with a line",
    sized((hex) => `${hex};a="\r\n0\r\n\r\n"`),
    notTaken,
  ],
  [
    "B25f",
    "chunk extension of 20 KB",
    sized((hex) => `${hex};${"a".repeat(20_000)}`),
    [...notTaken, "413 closed"],
  ],
  [
    "B25g",
    "NUL in a chunk extension",
    sized((hex) => `${hex};\0`, nothing),
    [...notTaken, ...ok],
    1,
  ],
  ["B25h", "extension without its semicolon", sized((hex) => `${hex} a=b`), notTaken],
  ["B26a", "size 0x", sized((hex) => `0x${hex}`), notTaken],
  ["B26b", "negative size", sized((hex) => `-${hex}`), notTaken],
  ["B26c", "size with a plus", sized((hex) => `+${hex}`), notTaken],
  ["B26d", "size of 17 digits", sized(() => "1".repeat(17)), notTaken],
  ["B26e", "size of 16 f", sized(() => "f".repeat(16)), [...notTaken, "413 closed"]],
  ["B26f", "size that wraps", sized((hex) => `1${"0".repeat(16 - hex.length)}${hex}`), notTaken],
  ["B26g", "space before the size", sized((hex) => ` ${hex}`), notTaken],
  ["B26h", "space behind the size", sized((hex) => `${hex} `, nothing), [...notTaken, ...ok], 1],
  ["B26i", "no size", sized(() => ""), notTaken],
  ["B26j", "size that is no number", sized(() => "g"), notTaken],
  [
    "B26k",
    "zeros in front",
    sized((hex) => hex.padStart(12, "0"), nothing),
    [...notTaken, ...ok],
    1,
  ],
  ["B26l", "size with an underscore", sized((hex) => `${hex}_0`), notTaken],
  [
    "B26m",
    "size of 2 GiB",
    sized(() => "80000000"),
    [...notTaken, ...denied(413), "413 swallows", "waits"],
  ],
  ["B26n", "size ended by a line feed", sized((hex) => `${hex}\n`.replace("\n\r", "\n")), notTaken],
  [
    "B27a",
    "data longer than its size",
    chunks((own, id) => own.replace("}\r\n", "}xx\r\n") + last + hidden(id)),
    notTaken,
  ],
  [
    "B27b",
    "no line end behind the data",
    chunks((own, id) => own.slice(0, -2) + last + hidden(id)),
    notTaken,
  ],
  [
    "B27c",
    "line feed behind the data",
    chunks((own, id) => `${own.slice(0, -2)}\n${last}${hidden(id)}`),
    notTaken,
  ],
  [
    "B27d",
    "carriage returns behind the data",
    chunks((own, id) => `${own.slice(0, -2)}\r\r${last}${hidden(id)}`),
    notTaken,
  ],
  [
    "B28a",
    "no end behind the last chunk",
    chunks((own, id) => `${own}0\r\n${hidden(id)}`),
    notTaken,
    1,
  ],
  ["B28b", "last chunk by line feeds", chunks((own, id) => `${own}0\n\n${hidden(id)}`), notTaken],
  [
    "B28c",
    "last chunk of many zeros",
    chunks((own) => `${own}0000\r\n\r\n`),
    [...notTaken, ...ok],
    1,
  ],
  ["B28d", "no chunk but the last", chunks(() => last), [...denied(400), "closed"]],
  ["B28e", "body that ends early", chunks((own) => own), ["waits"]],
  ["B29a", "trailer", chunks((own) => `${own}0\r\nX: y\r\n\r\n`), [...notTaken, ...ok], 1],
  [
    "B29b",
    "trailer like a request",
    chunks((own) => `${own}0\r\nGET /v1/models HTTP/1.1\r\nX: y\r\n\r\n`),
    [...notTaken, ...ok],
    1,
  ],
  [
    "B29c",
    "trailer with a length",
    chunks((own) => `${own}0\r\nContent-Length: 9\r\n\r\n`),
    [...notTaken, ...ok],
    1,
  ],
  [
    "B29d",
    "trailer with a Host",
    chunks((own) => `${own}0\r\nHost: evil.example\r\n\r\n`),
    [...notTaken, ...ok],
    1,
  ],
  [
    "B29e",
    "trailer of 100 KB",
    chunks((own) => `${own}0\r\nX: ${"a".repeat(100_000)}\r\n\r\n`),
    [...notTaken, ...ok],
    1,
  ],
  [
    "B29f",
    "trailer after a refusal",
    (id) =>
      head("POST /nowhere HTTP/1.1", [host, key, chunkedLine], `${ownChunk(id)}0\r\nX: y\r\n\r\n`),
    [...denied(404), "404 400 closed", "closed"],
  ],
];

/** A body that is a whole request, behind something that answers without reading it. */
const unread =
  (line: string, ...lines: readonly string[]) =>
  (id: string): string => {
    const body = hidden(id);
    return head(line, [...lines, `Content-Length: ${body.length}`], body);
  };
const unreadChunks =
  (line: string, ...lines: readonly string[]) =>
  (id: string): string =>
    head(line, [...lines, chunkedLine], chunk(hidden(id)) + last);
const unsent =
  (line: string, ...lines: readonly string[]) =>
  (id: string): string =>
    head(line, [...lines, "Content-Length: 99999999"], hidden(id));

/** Behind an upgrade: in a tunnel it would pass without a key; as a request it is refused. */
const stranger = (id: string): string => hidden(id).replace(`${key}\r\n`, "");
const ignored: readonly Verdict[] = [
  ...ok,
  ...denied(400, 426),
  "200 401 open",
  "200 401 closed",
  "426 401 open",
];

const early: readonly Row[] = [
  ["B30a", "GET with a request as body", unread("GET /v1/models HTTP/1.1", host, key), ok],
  ["B30b", "the same in chunks", unreadChunks("GET /v1/models HTTP/1.1", host, key), ok],
  ["B30c", "HEAD with a request as body", unread("HEAD /v1/models HTTP/1.1", host, key), ok],
  ["B30d", "health with a request as body", unread("GET /healthz HTTP/1.1", host), ok],
  ["B30e", "the same in chunks", unreadChunks("GET /healthz HTTP/1.1", host), ok],
  ["B30f", "unknown path", unread("POST /nowhere HTTP/1.1", host, key), denied(404)],
  [
    "B30g",
    "unknown path, in chunks",
    unreadChunks("POST /nowhere HTTP/1.1", host, key),
    denied(404),
  ],
  [
    "B30h",
    "method that the path does not take",
    unread("POST /v1/models HTTP/1.1", host, key),
    denied(405),
  ],
  ["B30i", "OPTIONS", unread(`OPTIONS ${chat} HTTP/1.1`, host, key), denied(404, 405)],
  [
    "B30j",
    "TRACE with a body",
    unread("TRACE / HTTP/1.1", host, key),
    [...denied(405), "400 closed"],
  ],
  [
    "B30k",
    "CONNECT with a body",
    unread("CONNECT 127.0.0.1:80 HTTP/1.1", host, key),
    [...denied(405), "400 closed"],
  ],
  [
    "B31a",
    "upgrade to h2c",
    (id) =>
      head(
        `GET /v1/models HTTP/1.1`,
        [
          host,
          key,
          "Connection: Upgrade, HTTP2-Settings",
          "Upgrade: h2c",
          "HTTP2-Settings: AAMAAABkAAQAAP__",
        ],
        stranger(id),
      ),
    ignored,
  ],
  [
    "B31b",
    "upgrade to websocket",
    (id) =>
      head(
        `GET /v1/models HTTP/1.1`,
        [
          host,
          key,
          "Connection: Upgrade",
          "Upgrade: websocket",
          "Sec-WebSocket-Version: 13",
          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ],
        stranger(id),
      ),
    ignored,
  ],
  [
    "B31c",
    "upgrade of a call",
    (id) => call(id, "Connection: Upgrade", "Upgrade: websocket"),
    [...ok, ...denied(400), "closed"],
    1,
  ],
  [
    "B31d",
    "upgrade to TLS",
    (id) =>
      head("OPTIONS * HTTP/1.1", [host, "Connection: Upgrade", "Upgrade: TLS/1.2"], hidden(id)),
    [...denied(400, 401, 404, 405), "closed"],
  ],
  ["B32a", "stranger: 401", unread(`POST ${chat} HTTP/1.1`, host), denied(401)],
  ["B32b", "stranger, in chunks", unreadChunks(`POST ${chat} HTTP/1.1`, host), denied(401)],
  [
    "B32c",
    "stranger, length beyond what is sent",
    unsent(`POST ${chat} HTTP/1.1`, host),
    [...denied(401), "401 swallows"],
  ],
  [
    "B32d",
    "foreign Host: 403",
    unread(`POST ${chat} HTTP/1.1`, "Host: evil.example", key),
    denied(403),
  ],
  ["B32e", "two Hosts: 400", unread(`POST ${chat} HTTP/1.1`, host, host, key), refused],
  [
    "B32f",
    "too large: 413",
    unsent(`POST ${chat} HTTP/1.1`, host, key),
    [...denied(413), "413 swallows"],
  ],
  [
    "B32g",
    "compressed: 415",
    unread(`POST ${chat} HTTP/1.1`, host, key, "Content-Encoding: gzip"),
    denied(415),
  ],
  ["B32h", "a request is no JSON: 400", unread(`POST ${chat} HTTP/1.1`, host, key), denied(400)],
  ["B32i", "the same in chunks", unreadChunks(`POST ${chat} HTTP/1.1`, host, key), denied(400)],
  [
    "B32j",
    "too large after an Expect",
    unsent(`POST ${chat} HTTP/1.1`, host, key, "Expect: 100-continue"),
    [...denied(413), "413 swallows"],
  ],
  [
    "B32k",
    "stranger after an Expect",
    unsent(`POST ${chat} HTTP/1.1`, host, "Expect: 100-continue"),
    [...denied(401), "401 swallows"],
  ],
  [
    "B32l",
    "too large in chunks: 413",
    (id) =>
      head(
        `POST ${chat} HTTP/1.1`,
        [host, key, chunkedLine],
        chunk("x".repeat(20_000)) + chunk(hidden(id)) + last,
      ),
    denied(413),
  ],
  [
    "B32m",
    "told to close: 401",
    (id) => unread(`POST ${chat} HTTP/1.1`, host, "Connection: close")(id) + hidden(id),
    ["401 closed"],
  ],
];

/** Section B: two readings of where a request ends. */
export const smugglingCases: readonly WireCase[] = [
  ...[lengths, codings, bodies, early].flat(),
].map(toCase);
