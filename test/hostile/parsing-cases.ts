import {
  bodyOf,
  call,
  chat,
  denied,
  head,
  hiddenModel,
  host,
  key,
  ownModel,
  type Row,
  refused,
  toCase,
  type Verdict,
  type WireCase,
} from "./wire-case.ts";

const get =
  (target: string, ...lines: readonly string[]) =>
  () =>
    head(`GET ${target} HTTP/1.1`, [host, key, ...lines]);
const stranger = (target: string) => () => head(`GET ${target} HTTP/1.1`, [host]);
const line = (text: string) => () => head(text, [host, key]);
const withHost = (value: string) => (id: string) => call(id).replace(`${host}\r\n`, `${value}\r\n`);
const field = (text: string) => (id: string) => call(id, text);
const post = (target: string) => (id: string) => call(id).replace(` ${chat} `, ` ${target} `);

const ok: readonly Verdict[] = ["200 open", "200 closed"];
const noMethod = denied(405, 501);
const badLine: readonly Verdict[] = ["400 closed", "505 closed", "closed"];

const hosts: readonly Row[] = [
  ["A1a", "no Host", (id) => call(id).replace(`${host}\r\n`, ""), refused],
  ["A1b", "no Host, HTTP/1.0", () => head("GET /v1/models HTTP/1.0", [key]), refused],
  ["A1c", "no Host, HTTP/1.0, health", () => head("GET /healthz HTTP/1.0", []), ["200 closed"]],
  ["A2a", "two Hosts, ours first", withHost(`${host}\r\nHost: evil.example`), refused],
  ["A2b", "two Hosts, ours last", withHost(`Host: evil.example\r\n${host}`), refused],
  ["A2c", "the same Host twice", withHost(`${host}\r\n${host}`), refused],
  ["A2d", "two Hosts on health", () => head("GET /healthz HTTP/1.1", [host, host]), refused],
  ["A2e", "empty Host", withHost("Host:"), refused],
  ["A3a", "Host with a space and an @", withHost("Host: a b@c/d"), refused],
  ["A3b", "Host with a user", withHost("Host: evil.example@127.0.0.1"), refused],
  ["A3c", "Host with a path", withHost("Host: 127.0.0.1/v0"), refused],
  ["A3d", "Host with a query", withHost("Host: 127.0.0.1?x"), refused],
  ["A3e", "Host with a fragment", withHost("Host: evil.example#127.0.0.1"), refused],
  ["A3f", "Host with a backslash", withHost("Host: 127.0.0.1\\@evil.example"), refused],
  ["A3g", "Host with port 65536", withHost("Host: 127.0.0.1:65536"), refused],
  ["A3h", "Host with two ports", withHost("Host: 127.0.0.1:80:80"), refused],
  ["A3i", "Host with letters as port", withHost("Host: 127.0.0.1:http"), refused],
  ["A3j", "Host with a bracket left open", withHost("Host: [::1"), refused],
  ["A3k", "Host with a tab in it", withHost("Host: 127.0.0.1\tevil.example"), refused],
  ["A3l", "Host beyond ASCII", withHost("Host: 127.0.0.1\xff"), refused],
  ["A3m", "Host with a comma", withHost("Host: 127.0.0.1,evil.example"), refused],
  ["A3n", "Host in percents", withHost("Host: 127.0.0.1%2eevil.example"), refused],
  ["A3o", "Host of 300 letters", withHost(`Host: ${"a".repeat(300)}`), denied(400, 403)],
  ["A3p", "Host with an empty port", withHost("Host: 127.0.0.1:"), denied(400, 403, 200), 1],
];

/** Bun drops the authority of an absolute target: what Host says is all that anybody reads. */
const hostDecides: readonly Verdict[] = [...refused, ...ok];

const targets: readonly Row[] = [
  ["A4a", "absolute target, own name", get("http://127.0.0.1/v1/models"), ok],
  ["A4b", "absolute target, other name", post(`http://evil.example${chat}`), hostDecides, 1],
  ["A4c", "absolute target, other port", post(`http://127.0.0.1:9${chat}`), hostDecides, 1],
  ["A4d", "absolute target with a user", post(`http://a@127.0.0.1${chat}`), hostDecides, 1],
  ["A4e", "absolute target, https", post(`https://127.0.0.1${chat}`), hostDecides, 1],
  ["A4f", "absolute target, other scheme", post("file:///etc/passwd"), badLine],
  ["A4g", "absolute target without a name", post("http:///v1/models"), denied(400, 405)],
  [
    "A4h",
    "absolute target, name in capitals",
    get("HTTP://127.0.0.1/v1/models"),
    [...ok, ...badLine],
  ],
  ["A4i", "authority as a target", line("GET 127.0.0.1:80 HTTP/1.1"), badLine],
  [
    "A5a",
    "CONNECT",
    () => head("CONNECT a.example:443 HTTP/1.1", ["Host: a.example:443"]),
    noMethod,
  ],
  ["A5b", "CONNECT to ourselves", line("CONNECT 127.0.0.1:443 HTTP/1.1"), noMethod],
  ["A5c", "CONNECT of a path", line(`CONNECT ${chat} HTTP/1.1`), noMethod],
  ["A6a", "TRACE", line("TRACE / HTTP/1.1"), noMethod],
  ["A6b", "TRACE of a route", line(`TRACE ${chat} HTTP/1.1`), noMethod],
  ["A6c", "OPTIONS *", line("OPTIONS * HTTP/1.1"), [...denied(400, 404, 405), "closed"]],
  ["A6d", "GET *", line("GET * HTTP/1.1"), [...denied(400, 404), "closed"]],
  ["A6e", "OPTIONS of a route", line(`OPTIONS ${chat} HTTP/1.1`), denied(404, 405)],
  ["A13a", "target of 70 KB", get(`/${"a".repeat(70_000)}`), ["414 closed", "431 closed"]],
  ["A13b", "query of 70 KB", get(`/v1/models?${"a".repeat(70_000)}`), ["414 closed", "431 closed"]],
  ["A14a", "broken percents", get("/%zz/%"), denied(400, 404)],
  ["A14b", "NUL in percents", post(`${chat}%00`), denied(400, 404)],
  ["A14c", "slash in percents", post("/v1/chat%2fcompletions"), denied(400, 404)],
  ["A14d", "parameter of a segment", post(`${chat};x=1`), denied(400, 404)],
  ["A14e", "space in percents", post(`${chat}%20`), denied(400, 404)],
  [
    "A14f",
    "backslashes",
    post("\\v1\\chat\\completions"),
    [...denied(400, 404), "505 closed", "closed"],
  ],
  ["A14g", "overlong percents", get("/%c0%ae%c0%ae/v1/models"), denied(400, 404)],
  ["A14h", "question marks", get("/v1/models?a?b?/../x"), ok],
  ["A14i", "fragment", get("/v1/models#x"), [...ok, ...denied(400, 404)]],
];

/** Without a key: whatever a target is taken for, it must not be served. */
const strangers: readonly Row[] = [
  ["A15a", "stranger, %76%30", stranger("/%76%30/management/auths"), denied(401, 404)],
  ["A15b", "stranger, dots", stranger("/v0/./management/.."), denied(401, 404)],
  ["A15c", "stranger, two slashes", stranger("//v0/management"), denied(401, 404)],
  ["A15d", "stranger, dots in percents", stranger("/%2e%2e/v0/management/auths"), denied(401, 404)],
  [
    "A15e",
    "stranger, through another route",
    stranger("/healthz/../v0/management"),
    denied(401, 404),
  ],
  ["A15f", "stranger, slashes inside", stranger("/v0//management"), denied(401, 404)],
  ["A15g", "stranger, through health", stranger("/healthz/%2e%2e/v1/models"), denied(401, 404)],
  ["A15h", "stranger, health and more", stranger("/healthz%2f..%2fv1/models"), denied(401, 404)],
  ["A15i", "stranger, health in capitals", stranger("/HEALTHZ"), denied(401, 404)],
  [
    "A15j",
    "stranger, backslash",
    stranger("/healthz\\..\\v1\\models"),
    [...denied(401, 404), ...badLine],
  ],
];

const lines: readonly Row[] = [
  ["A7a", "unknown method", line("FOO / HTTP/1.1"), [...denied(400, 405, 501), "closed"]],
  [
    "A7b",
    "method in small letters",
    (id) => call(id).replace("POST", "post"),
    [...denied(400, 405, 501), "closed"],
  ],
  ["A7c", "NUL in the method", (id) => call(id).replace("POST", "PO\0ST"), badLine],
  ["A7d", "method of 10 KB", line(`${"A".repeat(10_000)} / HTTP/1.1`), [...badLine, "431 closed"]],
  ["A7e", "no method", line(" / HTTP/1.1"), badLine],
  ["A7f", "preface of HTTP/2", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", badLine],
  [
    "A7g",
    "unknown method with a body",
    (id) => call(id).replace("POST", "POKE"),
    [...denied(400, 405, 501), "closed"],
  ],
  ["A7h", "PURGE", line("PURGE /v1/models HTTP/1.1"), [...denied(400, 405, 501), "closed"]],
  ["A8a", "HTTP/0.9", () => "GET /\r\n", [...badLine, "waits"]],
  ["A8b", "HTTP/2.0", line("GET / HTTP/2.0"), badLine],
  ["A8c", "HTTP/1.2", line("GET / HTTP/1.2"), badLine],
  ["A8d", "HTTP/1.10", line("GET / HTTP/1.10"), badLine],
  ["A8e", "http in small letters", line("GET / http/1.1"), badLine],
  ["A8f", "no version", line("GET /"), badLine],
  ["A8g", "space behind the version", line("GET /v1/models HTTP/1.1 "), badLine],
  ["A8h", "two spaces", line("GET  /v1/models HTTP/1.1"), badLine],
  ["A8i", "tabs", line("GET\t/v1/models\tHTTP/1.1"), badLine],
  ["A8j", "an empty line in front", (id) => `\r\n${call(id)}`, [...badLine, ...ok], 1],
  ["A8k", "a space in front", (id) => ` ${call(id)}`, badLine],
  ["A8l", "space in the target", line("GET /v1/models x HTTP/1.1"), badLine],
  ["A8m", "TLS to the plain port", () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", badLine],
  ["A8n", "SSH to the port", () => "SSH-2.0-OpenSSH_9.2\r\n", badLine],
  ["A8o", "PROXY protocol", (id) => `PROXY TCP4 1.2.3.4 127.0.0.1 1 2\r\n${call(id)}`, badLine],
  ["A8p", "line feeds alone", (id) => call(id).replaceAll("\r\n", "\n"), badLine],
  [
    "A8q",
    "carriage returns alone",
    (id) => call(id).replaceAll("\r\n", "\r"),
    [...badLine, "waits"],
  ],
  ["A8r", "binary", () => "\x00\x01\x02\x03\r\n\r\n", badLine],
];

const fields: readonly Row[] = [
  ["A9a", "NUL in the target", get("/v1/mod\0els"), badLine],
  [
    "A9b",
    "bytes beyond ASCII in the target",
    get("/v1/mod\xffels"),
    [...denied(400, 404), "closed"],
  ],
  ["A9c", "carriage return in the target", get("/v1/mod\rels"), badLine],
  [
    "A9d",
    "DEL in the target",
    get("/v1/mod\x7fels"),
    [...denied(400, 404), "505 closed", "closed"],
  ],
  ["A10a", "NUL in a value", field("X: a\0b"), refused],
  ["A10b", "carriage return in a value", field("X: a\rb"), refused],
  ["A10c", "line feed in a value", field("X: a\nb"), [...refused, "505 closed"]],
  [
    "A10d",
    "line feed, then a field",
    field("X: a\nHost: evil.example"),
    [...refused, "505 closed"],
  ],
  ["A10e", "control character in a value", field("X: a\x01b"), [...refused, ...ok], 1],
  ["A10f", "DEL in a value", field("X: a\x7fb"), [...refused, ...ok], 1],
  ["A10g", "obs-fold", field("X: a\r\n b"), refused],
  ["A10h", "obs-fold by a tab", field("X: a\r\n\tb"), refused],
  ["A10i", "fold before the first field", () => head("GET / HTTP/1.1", [` ${host}`, key]), refused],
  ["A10j", "no colon", field("X"), refused],
  ["A10k", "no name", field(": x"), refused],
  ["A10l", "space before the colon", field("X : a"), refused],
  ["A10m", "tab before the colon", field("X\t: a"), refused],
  ["A10n", "parentheses in a name", field("X(y): a"), refused],
  ["A10o", "bytes beyond ASCII in a name", field("X\xff: a"), refused],
  ["A10p", "quotes in a name", field('"X": a'), refused],
  ["A10q", "slash in a name", field("X/y: a"), refused],
  ["A10r", "NUL in a name", field("X\0: a"), refused],
  ["A10s", "bytes beyond ASCII in a value", field("X: \xff\xfe"), [...refused, ...ok], 1],
  ["A10t", "key twice", field(key), denied(401)],
  [
    "A10u",
    "key in capitals of its name",
    (id) => call(id).replace("Authorization", "AUTHORIZATION"),
    ok,
    1,
  ],
  [
    "A10v",
    "bare line feed ends the head",
    () => `GET /v1/models HTTP/1.1\r\n${host}\r\n${key}\n\n`,
    badLine,
  ],
  ["A11a", "field of 17 KB", field(`X: ${"a".repeat(17_000)}`), ["431 closed"]],
  ["A11b", "name of 17 KB", field(`${"a".repeat(17_000)}: x`), ["431 closed"]],
  [
    "A11c",
    "1 MB without an end",
    () => `GET / HTTP/1.1\r\nX: ${"a".repeat(1_000_000)}`,
    ["431 closed"],
  ],
  [
    "A12a",
    "100 more fields",
    field(Array.from({ length: 100 }, (_, i) => `X${i}: a`).join("\r\n")),
    ok,
    1,
  ],
  [
    "A12b",
    "300 fields",
    field(Array.from({ length: 300 }, (_, i) => `X${i}: a`).join("\r\n")),
    ["431 closed"],
  ],
  ["A12c", "1500 fields of one name", field("X: a\r\n".repeat(1500).trimEnd()), ["431 closed"]],
];

const bodies: readonly Row[] = [
  ["A16a", "Expect: 100-continue", field("Expect: 100-continue"), ok, 1],
  ["A16b", "Expect of something else", field("Expect: 200-ok"), [...denied(400, 417), ...ok], 1],
  [
    "A16c",
    "Expect twice",
    field("Expect: 100-continue\r\nExpect: 100-continue"),
    [...denied(400, 417), ...ok],
    1,
  ],
  ["A16d", "Expect on a GET", get("/v1/models", "Expect: 100-continue"), ok],
  ["A16e", "GET with a body", (id) => call(id).replace(`POST ${chat}`, "GET /v1/models"), ok],
  ["A16f", "HEAD with a body", (id) => call(id).replace(`POST ${chat}`, "HEAD /v1/models"), ok],
  ["A16g", "HEAD of a call", (id) => call(id).replace("POST", "HEAD"), denied(404, 405)],
  ["A16h", "DELETE with a body", (id) => call(id).replace("POST", "DELETE"), denied(404, 405)],
  [
    "A16i",
    "POST without a body",
    () => head(`POST ${chat} HTTP/1.1`, [host, key, "Content-Length: 0"]),
    denied(400),
  ],
  [
    "A16j",
    "POST without a length",
    () => head(`POST ${chat} HTTP/1.1`, [host, key]),
    denied(400, 411),
  ],
  [
    "A16k",
    "bytes behind the body",
    (id) => `${call(id)}${bodyOf(hiddenModel(id))}`,
    [...ok, "200 400 closed", "400 closed", "closed"],
    1,
  ],
  [
    "A16l",
    "invalid UTF-8",
    (id) => call(id).replace(ownModel(id), `${ownModel(id).slice(1)}\xff`),
    denied(400),
  ],
  ["A16n", "HEAD of health", () => head("HEAD /healthz HTTP/1.1", [host]), ok],
  ["A16o", "HEAD of a list", () => head("HEAD /v1/models HTTP/1.1", [host, key]), ok],
  ["A16p", "HEAD of no path", () => head("HEAD /nowhere HTTP/1.1", [host, key]), denied(404)],
  ["A16q", "HEAD by a stranger", () => head("HEAD /v1/models HTTP/1.1", [host]), denied(401)],
  ["A16m", "compressed", (id) => call(id, "Content-Encoding: gzip"), denied(415)],
];

/** Section A: what a parser of requests may stumble over. */
export const parsingCases: readonly WireCase[] = [
  ...[hosts, targets, strangers, lines, fields, bodies].flat(),
].map(toCase);
