import { until } from "../wait.ts";

/** A request as it came off the wire, for assertions. */
export class Received {
  readonly connection: number;
  readonly method: string;
  /** With query. */
  readonly target: string;
  /** In order, names as they were spelled. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** The connection was closed instead of an answer, because a script asked for a stale one. */
  dropped = false;
  /** What a strict upstream found wrong with it. */
  wrong: string | undefined = undefined;
  /** When the client went away, by `performance.now()`. */
  goneAtMs: number | undefined = undefined;
  #json: RequestJson | undefined = undefined;

  constructor(connection: number, head: string, body: Uint8Array) {
    const [line = "", ...fields] = head.split("\r\n");
    const [method = "", target = ""] = line.split(" ");
    this.connection = connection;
    this.method = method;
    this.target = target;
    this.headers = fields.map((field) => {
      const at = field.indexOf(":");
      return [field.slice(0, at), field.slice(at + 1).trim()] as const;
    });
    this.body = body;
  }

  header(name: string): string | undefined {
    return this.headers.find(([n]) => n.toLowerCase() === name)?.[1];
  }

  get path(): string {
    return this.target.split("?")[0] ?? "";
  }

  /** Whether the query has `alt=sse`, by which Gemini streams events. */
  get isAltSse(): boolean {
    return /[?&]alt=sse(?:&|$)/.test(this.target);
  }

  get text(): string {
    return new TextDecoder().decode(this.body);
  }

  get isMessages(): boolean {
    return this.path.endsWith("/messages") || this.header("anthropic-version") !== undefined;
  }

  /** @throws when the body is no JSON */
  get json(): RequestJson {
    this.#json ??= this.body.byteLength === 0 ? {} : (JSON.parse(this.text) as RequestJson);
    return this.#json;
  }

  /** The model that is asked: Gemini names it in the path, all others in the body. */
  get model(): string {
    const inPath = /\/models\/([^/:?]+(?:\/[^/:?]+)*):\w+$/.exec(this.path)?.[1];
    return inPath === undefined ? (this.json.model ?? "") : decodeURIComponent(inPath);
  }

  /** Whether the answer is to come in pieces. */
  get isStream(): boolean {
    return this.json.stream === true || this.path.endsWith(":streamGenerateContent");
  }

  /** Resolves when the client has gone away. */
  gone(withinMs = 5000): Promise<void> {
    return until("the upstream sees its client go", () => this.goneAtMs !== undefined, withinMs);
  }
}

/** What is looked at in a request's body. */
export interface RequestJson {
  readonly model?: string;
  readonly stream?: boolean;
  readonly previous_response_id?: string;
  readonly encoding_format?: "float" | "base64";
  readonly dimensions?: number;
  readonly input?: unknown;
  readonly requests?: readonly unknown[];
}

/** A request whose head is there, without its body. */
export function headOf(buffer: Buffer, connection: number): Received | undefined {
  const end = buffer.indexOf("\r\n\r\n");
  const head = buffer.subarray(0, Math.max(end, 0)).toString("latin1");
  return end < 0 ? undefined : new Received(connection, head, new Uint8Array());
}

/** The first whole request of a buffer, by content-length or chunks. */
export function parseRequest(
  buffer: Buffer,
  connection: number,
): { readonly request: Received; readonly length: number } | undefined {
  const headEnd = buffer.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = buffer.subarray(0, headEnd).toString("latin1");
  const start = headEnd + 4;
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const end = buffer.indexOf("0\r\n\r\n", start);
    if (end < 0) return undefined;
    const request = new Received(connection, head, buffer.subarray(start, end));
    return { request, length: end + 5 };
  }
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (buffer.byteLength < start + length) return undefined;
  const body = Buffer.from(buffer.subarray(start, start + length));
  return { request: new Received(connection, head, body), length: start + length };
}
