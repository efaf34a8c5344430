import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onCleanup } from "./cleanup.ts";

/** One request to the token endpoint. */
export interface TokenAsk {
  readonly form: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
}

/** Answers one request to the token endpoint in another way than a good server would. */
export type TokenFault = (response: ServerResponse, grant: () => object) => void;

/** An authorization server and the API that its tokens open; it fails when it is told to. */
export class OAuthServer {
  readonly asked: TokenAsk[] = [];
  /** Authorization headers of model calls, in order. */
  readonly calls: string[] = [];
  /** Paths of model calls. */
  readonly paths: string[] = [];
  /** Access tokens that the API takes. */
  readonly valid = new Set<string>();
  refreshToken = "refresh-0";
  /** Whether each refresh replaces the refresh token, and ends the old one. */
  rotates = false;
  lifeSeconds: number | undefined = 3600;
  /** How long a good answer takes, in milliseconds. */
  delayMs = 0;
  /** Of the device flow, in order; then it is granted. */
  readonly deviceErrors: string[] = [];
  readonly #faults: TokenFault[] = [];
  readonly #server: Server;
  #issued = 0;

  constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get tokenUrl(): string {
    return `${this.url}/token`;
  }

  /** What the next requests for tokens get, one each. */
  fail(...faults: readonly TokenFault[]): void {
    this.#faults.push(...faults);
  }

  /** Makes a token that the API takes. */
  issue(): string {
    this.#issued += 1;
    const token = `access-${this.#issued}-Qm2vXz9Kd4Lw8Rb1`;
    this.valid.add(token);
    return token;
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    onCleanup(() => this.#server.closeAllConnections());
    onCleanup(() => void this.#server.close());
    return this;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const { url = "", headers } = request;
    if (url === "/token") this.#token(text, headers.authorization, response);
    else if (url === "/device") this.#device(response);
    else this.#model(url, headers.authorization ?? "", response);
  }

  #token(text: string, authorization: string | undefined, response: ServerResponse): void {
    const form = Object.fromEntries(new URLSearchParams(text));
    this.asked.push({ form, authorization });
    const grant = (): object => this.#grant();
    const fault = this.#faults.shift();
    const error = fault === undefined ? this.#refusal(form) : undefined;
    if (fault !== undefined) fault(response, grant);
    else if (error !== undefined) json(response, 400, { error });
    else setTimeout(() => json(response, 200, grant()), this.delayMs);
  }

  #refusal({ grant_type: type = "", refresh_token: token }: TokenAsk["form"]): string | undefined {
    if (type.endsWith("device_code")) return this.deviceErrors.shift();
    const isOld = type === "refresh_token" && token !== this.refreshToken;
    return isOld ? "invalid_grant" : undefined;
  }

  #grant(): object {
    const rotated = this.rotates ? { refresh_token: this.#rotate() } : {};
    const { lifeSeconds } = this;
    return {
      access_token: this.issue(),
      token_type: "Bearer",
      ...(lifeSeconds !== undefined && { expires_in: lifeSeconds }),
      ...rotated,
    };
  }

  #rotate(): string {
    this.refreshToken = `refresh-${this.#issued + 1}`;
    return this.refreshToken;
  }

  #device(response: ServerResponse): void {
    json(response, 200, {
      device_code: "device-code-1",
      user_code: "WDJB-MJHT",
      verification_uri: `${this.url}/activate`,
      expires_in: 60,
      interval: 1,
    });
  }

  #model(path: string, authorization: string, response: ServerResponse): void {
    this.calls.push(authorization);
    this.paths.push(path);
    const token = /^Bearer (\S+)$/.exec(authorization)?.[1] ?? "";
    if (this.valid.has(token)) json(response, 200, replyFor(path));
    else json(response, 401, { error: { message: "no such token" } });
  }
}

function replyFor(path: string): object {
  if (path.includes("/messages")) {
    return {
      ...{ id: "msg_1", type: "message", role: "assistant", model: "m", stop_reason: "end_turn" },
      ...{ stop_sequence: null, content: [{ type: "text", text: "hello" }] },
      usage: { input_tokens: 1, output_tokens: 1 },
    };
  }
  if (path.includes(":")) {
    const content = { role: "model", parts: [{ text: "hello" }] };
    return { candidates: [{ content, finishReason: "STOP" }] };
  }
  const message = { role: "assistant", content: "hello" };
  return {
    ...{ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m" },
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  };
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** Ways in which a token endpoint goes wrong. */
export const tokenFaults = {
  status: (status: number): TokenFault => {
    return (response) => void response.writeHead(status).end("<html>no</html>");
  },
  error: (error: string, status = 400): TokenFault => {
    return (response) => json(response, status, { error });
  },
  redirect: (to: string): TokenFault => {
    return (response) => void response.writeHead(307, { location: to }).end();
  },
  huge: (response: ServerResponse): void => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`{"access_token":"${"x".repeat(200_000)}"}`);
  },
  half: (response: ServerResponse): void => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('{"access_token":"abc');
  },
  cut: (response: ServerResponse): void => void response.socket?.destroy(),
  hang: (): void => {},
  body: (body: object): TokenFault => {
    return (response) => json(response, 200, body);
  },
  /** Grants, and answers only when told. */
  held: (until: Promise<unknown>): TokenFault => {
    return (response, grant) => void until.then(() => json(response, 200, grant()));
  },
} as const;
