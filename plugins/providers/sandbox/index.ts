import type { Dialect, LocalRequest, Provider } from "../../../src/contract/plugin.ts";
import { isObject, parse } from "../../../src/kit/json-member.ts";
import { dialect as anthropicMessages } from "../../dialects/anthropic-messages.ts";
import { dialect as openaiChat } from "../../dialects/openai-chat.ts";
import { toEcho } from "./echo.ts";
import { pacedStream } from "./paced-stream.ts";
import { chatEvents, chatReply, messageEvents, messageReply, type Reply } from "./wire.ts";

/** Pause before each piece of a streamed answer, in milliseconds: enough to be seen. */
const paceMs = 8;

/** Answers in process, without an account: for a first try, for tests, for offline work. */
export const provider: Provider = {
  protocol: "sandbox",
  summary: "Built in: echoes what it is asked, needs no account and calls nobody.",
  dialects: ["openai-chat", "anthropic-messages"],
  baseUrl: undefined,
  version: "",
  credential: "none",
  path: () => "",
  authorize: () => {},
  defaultHeaders: {},
  readModels: () => ["sandbox-echo"],
  answer,
};

interface Wire {
  readonly dialect: Dialect;
  whole(reply: Reply): object;
  events(reply: Reply): Generator<string>;
}

const wires: Readonly<Record<string, Wire>> = {
  "openai-chat": { dialect: openaiChat, whole: chatReply, events: chatEvents },
  "anthropic-messages": {
    dialect: anthropicMessages,
    whole: messageReply,
    events: messageEvents,
  },
};

function answer({ dialect, model, stream, body, signal }: LocalRequest): Response {
  const wire = wires[dialect];
  if (wire === undefined) throw new Error(`the sandbox does not speak ${dialect}`);
  const request = parse(new TextDecoder().decode(body));
  const echo = isObject(request) ? toEcho(request) : undefined;
  if (echo === undefined) return refuse(wire.dialect);
  const options = isObject(request) ? request.stream_options : undefined;
  const withUsage = isObject(options) && options.include_usage === true;
  const reply: Reply = { model, echo, withUsage };
  if (!stream) return toJson(200, JSON.stringify(wire.whole(reply)));
  return new Response(pacedStream(wire.events(reply), paceMs, signal), {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
  });
}

function refuse(dialect: Dialect): Response {
  const body = dialect.error({
    code: "bad_request",
    status: 400,
    message:
      "`messages` must be a list with at least one message, such as " +
      '[{"role": "user", "content": "Hello"}].',
    requestId: "",
  });
  return toJson(400, body);
}

/** With its length, since the house passes short replies of known length the cheap way. */
function toJson(status: number, text: string): Response {
  const body = new TextEncoder().encode(text);
  const headers = { "content-type": "application/json", "content-length": String(body.length) };
  return new Response(body, { status, headers });
}
