import type { LocalRequest, Provider } from "../../../src/contract/plugin.ts";
import { isObject, parse } from "../../../src/kit/json-member.ts";
import { chat } from "./chat.ts";
import { completions } from "./completions.ts";
import { countTokens } from "./count-tokens.ts";
import { embeddings } from "./embeddings.ts";
import { gemini, geminiCount } from "./gemini.ts";
import { geminiEmbeddings } from "./gemini-embeddings.ts";
import { messages } from "./messages.ts";
import { pacedStream } from "./paced-stream.ts";
import { responses } from "./responses.ts";
import type { Wire } from "./wire.ts";

/** Pause before each piece of a streamed answer, in milliseconds: enough to be seen. */
const paceMs = 8;

/** What it speaks, one file each; a dialect that comes first is told first. */
const wires: readonly Wire[] = [
  chat,
  completions,
  embeddings,
  responses,
  messages,
  countTokens,
  gemini,
  geminiCount,
  geminiEmbeddings,
];

const wireOf = new Map(wires.map((wire) => [keyOf(wire.dialect.name, wire.surface), wire]));

/** Answers in process, without an account: for a first try, for tests, for offline work. */
export const provider: Provider = {
  protocol: "sandbox",
  summary: "Built in: echoes what it is asked, needs no account and calls nobody.",
  dialects: [...new Set(wires.map(({ dialect }) => dialect.name))],
  baseUrl: undefined,
  version: "",
  credential: "none",
  path: () => "",
  authorize: () => {},
  defaultHeaders: {},
  readModels: () => ["sandbox-echo"],
  answer,
};

function keyOf(dialect: string, surface: string): string {
  return `${dialect} ${surface}`;
}

function answer(request: LocalRequest): Response {
  const { dialect, surface, body, signal } = request;
  const wire = wireOf.get(keyOf(dialect, surface));
  if (wire === undefined) throw new Error(`the sandbox does not speak ${dialect} on ${surface}`);
  const json = parse(new TextDecoder().decode(body));
  const spoken = wire.speak({ ...request, json: isObject(json) ? json : {} });
  if ("refused" in spoken) return refuse(wire, spoken.refused);
  if ("error" in spoken) return toJson(spoken.status, JSON.stringify(spoken.error));
  if ("whole" in spoken) return toJson(200, JSON.stringify(spoken.whole));
  const type = spoken.type ?? "text/event-stream; charset=utf-8";
  return new Response(pacedStream(spoken.pieces, paceMs, signal), {
    headers: { "content-type": type, "cache-control": "no-cache" },
  });
}

function refuse({ dialect }: Wire, message: string): Response {
  const problem = { code: "bad_request", status: 400, message, requestId: "" } as const;
  return toJson(problem.status, dialect.error(problem));
}

/** With its length, since the house passes short replies of known length the cheap way. */
function toJson(status: number, text: string): Response {
  const body = new TextEncoder().encode(text);
  const headers = { "content-type": "application/json", "content-length": String(body.length) };
  return new Response(body, { status, headers });
}
