import type { Received, Script } from "../harness/fake-upstream.ts";

/** What the replies of this file say, and what they report. */
export const surfaceText = "Hello from the surfaces: naïve 🦊";
export const pieces = ["Hello", " from", " the surfaces", ": naïve 🦊"] as const;

/** A vector whose numbers are the same in 32 and 64 bits. */
export const vector = [0.5, -0.25, 0.125, -1] as const;

type Json = Readonly<Record<string, unknown>>;

const usages = {
  completions: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
  embeddings: { prompt_tokens: 8, total_tokens: 8 },
  responses: {
    input_tokens: 11,
    input_tokens_details: { cached_tokens: 3 },
    output_tokens: 7,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 18,
  },
};

function base64(): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString("base64");
}

function completion(model: string, text: string, finish_reason: string | null): Json {
  const choices = [{ index: 0, text, logprobs: null, finish_reason }];
  return { id: "cmpl-1", object: "text_completion", created: 1, model, choices };
}

function responseHead(model: string): Json {
  return {
    ...{ id: "resp_1", object: "response", created_at: 1, model, error: null, metadata: {} },
    ...{ incomplete_details: null, instructions: null, tools: [], tool_choice: "auto" },
    ...{ parallel_tool_calls: true, temperature: 1, top_p: 1 },
  };
}

function responseItem(status: string, text: string | undefined): Json {
  const part = { type: "output_text", annotations: [], logprobs: [], text };
  const content = text === undefined ? [] : [part];
  return { id: "msg_1", type: "message", role: "assistant", status, content };
}

export function responseReply(model: string, text: string = surfaceText, more: Json = {}): Json {
  return {
    ...responseHead(model),
    status: "completed",
    output: [responseItem("completed", text)],
    usage: usages.responses,
    ...more,
  };
}

function toEvent(data: Json): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The typed events of a streamed response, each with its blank line; the last is the terminal. */
export function responseEvents(model: string, said: readonly string[] = pieces): string[] {
  let sequence_number = 0;
  const event = (type: string, more: Json): string =>
    toEvent({ type: `response.${type}`, sequence_number: sequence_number++, ...more });
  const response = { ...responseHead(model), status: "in_progress", output: [], usage: null };
  const place = { item_id: "msg_1", output_index: 0, content_index: 0 };
  const part = (text: string): Json => ({
    type: "output_text",
    annotations: [],
    logprobs: [],
    text,
  });
  const text = said.join("");
  return [
    event("created", { response }),
    event("in_progress", { response }),
    event("output_item.added", { output_index: 0, item: responseItem("in_progress", undefined) }),
    event("content_part.added", { ...place, part: part("") }),
    ...said.map((delta) => event("output_text.delta", { ...place, delta, logprobs: [] })),
    event("output_text.done", { ...place, text, logprobs: [] }),
    event("content_part.done", { ...place, part: part(text) }),
    event("output_item.done", { output_index: 0, item: responseItem("completed", text) }),
    event("completed", { response: responseReply(model, text) }),
  ];
}

function completionEvents(model: string): string[] {
  const data = (json: Json): string => `data: ${JSON.stringify(json)}\n\n`;
  return [
    ...pieces.map((piece) => data(completion(model, piece, null))),
    data(completion(model, "", "stop")),
    data({ ...completion(model, "", null), choices: [], usage: usages.completions }),
    "data: [DONE]\n\n",
  ];
}

/** The events of a streamed reply of the surface that a request is for. */
export function eventsFor({ path, json }: Received): string[] {
  const { model = "" } = json;
  return path.endsWith("/responses") ? responseEvents(model) : completionEvents(model);
}

function wholeFor({ path, json }: Received): Json {
  const { model = "" } = json;
  if (path.endsWith("/responses")) return responseReply(model);
  if (path.endsWith("/count_tokens")) return { input_tokens: 2095 };
  if (path.endsWith("/completions")) {
    return { ...completion(model, surfaceText, "stop"), usage: usages.completions };
  }
  const { encoding_format: format } = json as Json;
  const embedding = format === "base64" ? base64() : vector;
  const data = [{ object: "embedding", index: 0, embedding }];
  return { object: "list", data, model, usage: usages.embeddings };
}

const jsonType = { "content-type": "application/json" };

/** Answers the surfaces beside chat and messages as the vendor would. */
export const surfaces: Script = async (wire, request) => {
  if (request.json.stream !== true) {
    return wire.whole(200, jsonType, JSON.stringify(wholeFor(request)));
  }
  await wire.stream();
  for (const event of eventsFor(request)) await wire.chunk(event);
  return wire.endChunks();
};

/** Answers with one JSON body, whatever is asked. */
export function always(status: number, body: Json, headers: Readonly<Record<string, string>> = {}) {
  const script: Script = (wire) =>
    wire.whole(status, { ...jsonType, ...headers }, JSON.stringify(body));
  return script;
}

/** A stream of which the last events are missing, then whatever `then` does. */
export function cutStream(without: number, then: (wire: Parameters<Script>[0]) => unknown): Script {
  return async (wire, request) => {
    await wire.stream();
    for (const event of eventsFor(request).slice(0, -without)) await wire.chunk(event);
    await then(wire);
  };
}
