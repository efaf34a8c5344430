import { clientKey, type RunningProxy } from "./proxy.ts";
import { openRaw, type RawClient, rawExchange, requestBytes } from "./raw.ts";

/** An answer that came over a raw socket. */
export interface RawAnswer {
  readonly status: number;
  /** First value of a field, by lower-case name. */
  header(name: string): string | undefined;
  readonly body: string;
}

export interface Ask {
  readonly from?: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly body?: unknown;
  /** Absent: the usual client key. */
  readonly key?: string | undefined;
}

/** Sends one request from an address of loopback, by default a model list with the client key. */
export async function ask(proxy: RunningProxy, options: Ask = {}): Promise<RawAnswer> {
  const { method = "GET", path = "/v1/models", headers = [], body, from } = options;
  const key = "key" in options ? options.key : clientKey;
  const text = await rawExchange(
    proxy.url,
    method,
    path,
    [
      ...(key === undefined ? [] : ([["authorization", `Bearer ${key}`]] as const)),
      ...(body === undefined ? [] : ([["content-type", "application/json"]] as const)),
      ...headers,
    ],
    body === undefined ? "" : JSON.stringify(body),
    from,
  );
  return toAnswer(text);
}

function toAnswer(text: string): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  const [line = "", ...fields] = text.slice(0, end).split("\r\n");
  return {
    status: Number(line.split(" ")[1]),
    header(name) {
      const field = fields.find((one) => one.toLowerCase().startsWith(`${name}:`));
      return field?.slice(name.length + 1).trim();
    },
    body: text.slice(end + 4),
  };
}

/** Opens a streamed chat from an address of loopback; resolves when its first event is there. */
export async function openStreamFrom(
  proxy: RunningProxy,
  from: string,
  model: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
): Promise<RawClient> {
  const client = await openRaw(proxy.url, from);
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "hi" }] });
  const all = [
    ["authorization", `Bearer ${clientKey}`],
    ["content-type", "application/json"],
    ...headers,
  ] as const;
  client.send(requestBytes("POST", "/v1/chat/completions", all, body));
  await client.read((text) => text.includes("data: "));
  return client;
}
