import { connect } from "node:net";
import { requestBytes } from "./raw.ts";
import { within } from "./wait.ts";

/** An HTTP answer as it came off the wire. */
export interface Answer {
  readonly status: number;
  /** In order, names in lower case; one that comes twice is here twice. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** How it ended: as its framing says, or by the connection. */
  readonly ending: "whole" | "cut";
  /** Head and body as they came. */
  readonly text: string;
}

export function headerOf(answer: Answer, name: string): string | undefined {
  return answer.headers.find(([n]) => n === name)?.[1];
}

/** Sends one POST on a connection of its own and reads until its answer is whole or cut. */
export async function ask(
  url: string,
  path: string,
  headers: readonly (readonly [name: string, value: string])[],
  body: string,
  withinMs = 15_000,
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  const ended = new Promise<void>((resolve) => {
    const end = () => resolve();
    socket.on("end", end).on("close", end).on("error", end);
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (mayBeWhole(chunks) && parseAnswer(Buffer.concat(chunks))?.ending === "whole") end();
    });
  });
  socket.write(requestBytes("POST", path, headers, body));
  try {
    await within(`answer to ${body.slice(0, 100)}`, ended, withinMs);
  } finally {
    socket.destroy();
  }
  const all = Buffer.concat(chunks);
  const none = { status: 0, headers: [], body: "", ending: "cut", text: all.toString() } as const;
  return parseAnswer(all) ?? none;
}

const lastChunk = Buffer.from("0\r\n\r\n");

/** A look at the end alone: joining a long answer at each of its chunks would take minutes. */
function mayBeWhole(chunks: readonly Buffer[]): boolean {
  if (chunks.length < 8) return true;
  const tail = Buffer.concat(chunks.slice(-3));
  return tail.subarray(-lastChunk.byteLength).equals(lastChunk) || tail.includes("}", -3);
}

/** Undefined: the head is not there yet. */
export function parseAnswer(all: Buffer): Answer | undefined {
  const headEnd = all.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [line = "", ...fields] = all.subarray(0, headEnd).toString("latin1").split("\r\n");
  const headers = fields.map((field) => {
    const at = field.indexOf(":");
    return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()] as const;
  });
  const rest = all.subarray(headEnd + 4);
  const isChunked = headers.some(([n, v]) => n === "transfer-encoding" && v === "chunked");
  const length = Number(headers.find(([n]) => n === "content-length")?.[1] ?? 0);
  const [body, isWhole] = isChunked ? fromChunks(rest) : [rest, rest.byteLength >= length];
  return {
    status: Number(line.split(" ")[1]),
    headers,
    body: body.toString(),
    ending: isWhole ? "whole" : "cut",
    text: all.toString(),
  };
}

function fromChunks(rest: Buffer): readonly [body: Buffer, isWhole: boolean] {
  const parts: Buffer[] = [];
  let at = 0;
  while (at <= rest.byteLength) {
    const lineEnd = rest.indexOf("\r\n", at);
    if (lineEnd < 0) break;
    const size = Number.parseInt(rest.subarray(at, lineEnd).toString("latin1"), 16);
    if (size === 0) return [Buffer.concat(parts), true];
    const from = lineEnd + 2;
    parts.push(rest.subarray(from, from + size));
    at = from + size + 2;
  }
  return [Buffer.concat(parts), false];
}
