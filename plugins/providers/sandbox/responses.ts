import { toCount } from "../../../src/kit/json-member.ts";
import { dialect } from "../../dialects/openai-responses/index.ts";
import { type Echo, type Heard, hear, piecesOf, textOf, toEcho } from "./echo.ts";
import { created, newId, type Spoken, toEvent, type Wire } from "./wire.ts";

/** OpenAI's Responses. */
export const responses: Wire = {
  dialect,
  surface: "responses",
  speak({ json, model, stream }) {
    const { previous_response_id: previous, conversation } = json;
    if (typeof previous === "string") return notStored(previous);
    if (conversation !== undefined && conversation !== null) return { refused: noConversation };
    const heard = hearInput(json.input, json.instructions);
    if (heard === undefined) return { refused: noInput };
    const limit = toCount(json.max_output_tokens);
    const echo = toEcho(heard, limit);
    const parts: Parts = {
      head: headOf(model, json),
      item: { id: newId("msg_"), type: "message", role: "assistant" },
      echo,
    };
    return stream ? { pieces: events(parts) } : { whole: finished(parts) };
  },
};

const noInput =
  "`input` must be a text or a list with at least one item, such as " +
  '[{"role": "user", "content": "Hello"}].';

const noConversation = "The sandbox keeps no conversations: send all of it as `input`.";

function hearInput(input: unknown, instructions: unknown): Heard | undefined {
  if (typeof input !== "string") return hear(input, instructions);
  const characters = input.length + textOf(instructions).length;
  return input === "" ? undefined : { said: input, characters };
}

/** The sandbox remembers nothing, and says it as the real API does of an id it does not know. */
function notStored(id: string): Spoken {
  const error = {
    message: `Previous response with id '${id.slice(0, 64)}' not found: the sandbox stores none.`,
    type: "invalid_request_error",
    param: "previous_response_id",
    code: "previous_response_not_found",
  };
  return { status: 400, error: { error } };
}

/** What all forms of one answer share. */
interface Parts {
  readonly head: object;
  readonly item: { readonly id: string; readonly [key: string]: string };
  readonly echo: Echo;
}

function* events({ head, item, echo }: Parts): Generator<string> {
  let sequence_number = 0;
  const event = (type: string, more: object): string =>
    toEvent({ type, sequence_number: sequence_number++, ...more });
  const response = { ...head, status: "in_progress", output: [], usage: null };
  const place = { output_index: 0, content_index: 0, item_id: item.id };
  yield event("response.created", { response });
  yield event("response.in_progress", { response });
  yield event("response.output_item.added", {
    output_index: 0,
    item: { ...item, status: "in_progress", content: [] },
  });
  yield event("response.content_part.added", { ...place, part: toPart("") });
  for (const delta of piecesOf(echo.text)) {
    yield event("response.output_text.delta", { ...place, delta, logprobs: [] });
  }
  yield event("response.output_text.done", { ...place, text: echo.text, logprobs: [] });
  yield event("response.content_part.done", { ...place, part: toPart(echo.text) });
  yield event("response.output_item.done", { output_index: 0, item: toItem(item, echo) });
  yield event(`response.${statusOf(echo)}`, { response: finished({ head, item, echo }) });
}

function finished({ head, item, echo }: Parts): object {
  return {
    ...head,
    status: statusOf(echo),
    incomplete_details: echo.isCut ? { reason: "max_output_tokens" } : null,
    output: [toItem(item, echo)],
    usage: {
      input_tokens: echo.inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: echo.outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: echo.inputTokens + echo.outputTokens,
    },
  };
}

function statusOf({ isCut }: Echo): "incomplete" | "completed" {
  return isCut ? "incomplete" : "completed";
}

function toItem(item: object, echo: Echo): object {
  return { ...item, status: statusOf(echo), content: [toPart(echo.text)] };
}

function toPart(text: string): object {
  return { type: "output_text", annotations: [], logprobs: [], text };
}

/** Without the request's tools and instructions: they are long, and nobody reads them back. */
function headOf(model: string, { max_output_tokens: limit, metadata }: Record<string, unknown>) {
  return {
    id: newId("resp_"),
    object: "response",
    created_at: created,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: limit ?? null,
    model,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: 1,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: 1,
    truncation: "disabled",
    user: null,
    metadata: metadata ?? {},
  };
}
