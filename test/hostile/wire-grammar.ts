import fc from "fast-check";
import { bodyOf, chat, chunk, host, key } from "./wire-case.ts";

/** Whatever stands between two things that a parser tells apart. */
const lineEnd = fc.oneof(
  { weight: 60, arbitrary: fc.constant("\r\n") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("\n", "\r", "\r\r\n", "\n\r", " \r\n", "\0\r\n", "\r\n "),
  },
);
const space = fc.oneof(
  { weight: 60, arbitrary: fc.constant(" ") },
  { weight: 1, arbitrary: fc.constantFrom("", "  ", "\t", "\v", "\0", "\xa0", "\r\n ") },
);
const odd = fc.constantFrom(...'\0\t\n\v\r "#%,/:;\\{}\x7f\x80\xa0\xff0aZ');

/** The models that a conversation may name, each at most once by an honest reader. */
export const names = ["first", "second", "third"] as const;
export type Name = (typeof names)[number];

function modelOf(mark: string, name: Name): string {
  return `fuzz-${mark}-${name}`;
}

type Draw = (mark: string) => string;

const method = fc.oneof(
  { weight: 25, arbitrary: fc.constant("POST") },
  { weight: 3, arbitrary: fc.constantFrom("GET", "HEAD", "DELETE", "OPTIONS", "PUT") },
  { weight: 1, arbitrary: fc.constantFrom("post", "TRACE", "CONNECT", "PRI", "FOO", "", "P OST") },
);
const target = fc.oneof(
  { weight: 25, arbitrary: fc.constant(chat) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("/v1/models", "/healthz", "/", "*", `http://127.0.0.1${chat}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("//", "/%00", "/\0", "/a b", "http://x/", "/\xff", "a:1"),
  },
);
const version = fc.oneof(
  { weight: 20, arbitrary: fc.constant("HTTP/1.1") },
  { weight: 1, arbitrary: fc.constantFrom("HTTP/1.0", "HTTP/2.0", "http/1.1", "", "HTTP/1.1 x") },
);

const otherField = fc.constantFrom(
  ...["X: y", "Accept: */*", "Connection: keep-alive", "Connection: close", "Expect: 100-continue"],
  ...["Host: evil.example", "X : y", " X: y", ": y", "X", "X\0: y", "X: \0", "X: \xff", "X: a\x7f"],
  ...["Upgrade: h2c", "TE: trailers", "Trailer: X", "Content-Encoding: identity"],
  ...["Transfer_Encoding: chunked", "X: y\n Content-Length: 1", "Connection: content-length"],
);

/** How a body says where it ends; `length` is the true one. */
const framing: fc.Arbitrary<(length: number) => string[]> = fc.oneof(
  { weight: 12, arbitrary: fc.constant((n: number) => [`Content-Length: ${n}`]) },
  {
    weight: 6,
    arbitrary: fc
      .constantFrom(
        ...["chunked", "Chunked", " chunked ", "chunked,", ",chunked", "chunked, chunked"],
        ...["identity", "gzip, chunked", "chunked;x", "\vchunked", "chunked\0", "xchunked", ""],
      )
      .map((coding) => () => [`Transfer-Encoding: ${coding}`]),
  },
  {
    weight: 6,
    arbitrary: fc.constantFrom<((n: number) => string[])[]>(
      ...[
        (n: number) => [`Content-Length: ${n}`, "Transfer-Encoding: chunked"],
        (n: number) => ["Transfer-Encoding: chunked", `Content-Length: ${n}`],
        (n: number) => [`Content-Length: ${n}`, `Content-Length: ${n}`],
        (n: number) => ["Content-Length: 0", `Content-Length: ${n}`],
        (n: number) => [`Content-Length: ${n}, ${n}`],
        (n: number) => [`Content-Length: +${n}`],
        (n: number) => [`Content-Length: 0${n}`],
        (n: number) => [`Content-Length: ${n + 1}`],
        (n: number) => [`Content-Length: ${Math.max(0, n - 40)}`],
        (n: number) => [`Content-Length : ${n}`],
        (n: number) => [`Content-Length: 0x${n.toString(16)}`],
        () => ["Content-Length: 5", "Transfer-Encoding : chunked"],
        () => ["X: y\r\n\tContent-Length: 5"],
        () => [],
      ],
    ),
  },
) as fc.Arbitrary<(length: number) => string[]>;

/** A body as it is, in honest chunks, or in such that tell two lengths. */
const wireBody: fc.Arbitrary<(body: string) => string> = fc.oneof(
  { weight: 8, arbitrary: fc.constant((body: string) => body) },
  { weight: 6, arbitrary: fc.constant((body: string) => `${chunk(body)}0\r\n\r\n`) },
  {
    weight: 6,
    arbitrary: fc.constantFrom<((body: string) => string)[]>(
      ...[
        (b: string) => `${chunk(b.slice(0, 9))}${chunk(b.slice(9))}0\r\n\r\n`,
        (b: string) => `${b.length.toString(16)};x=y\r\n${b}\r\n0\r\n\r\n`,
        (b: string) => `${b.length.toString(16)};\n${b}\r\n0\r\n\r\n`,
        (b: string) => `0${b.length.toString(16)}\r\n${b}\r\n000\r\n\r\n`,
        (b: string) => `0x${b.length.toString(16)}\r\n${b}\r\n0\r\n\r\n`,
        (b: string) => `${b.length.toString(16)} \r\n${b}\r\n0\r\n\r\n`,
        (b: string) => `${b.length.toString(16)}\n${b}\n0\n\n`,
        (b: string) => `${(b.length + 2).toString(16)}\r\n${b}\r\n0\r\n\r\n`,
        (b: string) => `ffffffffffffffff\r\n${b}\r\n0\r\n\r\n`,
        (b: string) => `${chunk(b)}0\r\nX: y\r\n\r\n`,
        (b: string) => `${chunk(b)}0\r\nContent-Length: 9\r\n\r\n`,
        (b: string) => `${chunk(b)}0\r\n`,
        (b: string) => `0\r\n\r\n${b}`,
      ],
    ),
  },
);

type Framed = readonly [frame: (length: number) => string[], wire: (body: string) => string];

/** Half of all bodies are framed as they should be, so that what follows is reached. */
const framed: fc.Arbitrary<Framed> = fc.oneof(
  fc.constantFrom<Framed[]>(
    [(n) => [`Content-Length: ${n}`], (body) => body],
    [() => ["Transfer-Encoding: chunked"], (body) => `${chunk(body)}0\r\n\r\n`],
    [(n) => [`content-length:${n}`], (body) => body],
  ),
  fc.tuple(framing, wireBody),
);

/** One request that names a model, honest or not; another one may stand in its body. */
function request(name: Name, inner: fc.Arbitrary<Draw>): fc.Arbitrary<Draw> {
  const fields = fc.oneof(fc.constant([]), fc.array(otherField, { maxLength: 2 }));
  const hides = fc.oneof(...[false, false, true].map((yes) => fc.constant(yes)));
  return fc
    .tuple(method, space, target, space, version, fields, framed, lineEnd, hides, inner)
    .map(([verb, s1, where, s2, how, more, [frame, wire], eol, isHiding, hidden]) => (mark) => {
      const body = isHiding ? hidden(mark) : bodyOf(modelOf(mark, name));
      const content = wire(body);
      const line = `${verb}${s1}${where}${s2}${how}`;
      const lines = [line, host, key, ...more, ...frame(content.length)];
      return `${lines.join(eol)}${eol}${eol}${content}`;
    });
}

const nothing = fc.constant<Draw>(() => "");
const hidden = request("third", nothing);

/** What a few bytes on their way may become. */
const change = fc.tuple(fc.constantFrom("insert", "replace", "drop"), fc.nat(), odd);

/** Bytes of one connection: requests one after the other, then some bytes changed. */
export const conversation: fc.Arbitrary<Draw> = fc
  .tuple(
    request("first", hidden),
    fc.oneof(nothing, request("second", hidden)),
    fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(change, { maxLength: 3 })),
  )
  .map(([first, second, changes]) => (mark) => {
    let text = first(mark) + second(mark);
    for (const [what, place, byte] of changes) {
      const at = place % text.length;
      const kept = what === "insert" ? at : at + 1;
      text = text.slice(0, at) + (what === "drop" ? "" : byte) + text.slice(kept);
    }
    return text;
  });
