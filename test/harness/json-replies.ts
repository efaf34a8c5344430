import type { Script } from "./upstream/wire.ts";

/** A whole reply of JSON. */
export function whole(
  body: object,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Script {
  const type = { "content-type": "application/json" };
  return (wire) => wire.whole(status, { ...type, ...headers }, JSON.stringify(body));
}

/** An event stream, chunk by chunk. */
export function streamed(...texts: readonly string[]): Script {
  return async (wire) => {
    await wire.stream({ "content-type": "text/event-stream" });
    for (const text of texts) await wire.chunk(text);
    return wire.endChunks();
  };
}

/** An event as Anthropic's and OpenAI's newer streams have it. */
export function sseEvent(type: string, content: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...content })}\n\n`;
}

/** A chunk of a streamed completion. */
export function chatChunk(delta: object, finish_reason: string | null = null): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
}

/** A whole completion that says something. */
export function completion(content: string): object {
  return {
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  };
}
