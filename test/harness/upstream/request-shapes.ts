import * as v from "valibot";

/** What each API requires of a body, and the types that it knows; other members are let be. */

const text = v.string();
const model = v.pipe(v.string(), v.nonEmpty());
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const maybe = <S extends v.GenericSchema>(schema: S) => v.optional(v.nullable(schema));
const one = <S extends v.GenericSchema>(schema: S) => v.pipe(v.array(schema), v.minLength(1));
/** Tells where a list is wrong, unlike a union. */
const textOr = <S extends v.GenericSchema>(schema: S) =>
  v.lazy((input): v.GenericSchema => (typeof input === "string" ? text : schema));
const anything = v.record(v.string(), v.unknown());
const stream = maybe(v.boolean());
const temperature = maybe(v.pipe(v.number(), v.minValue(0), v.maxValue(2)));

const chatPart = v.variant("type", [
  v.looseObject({ type: v.literal("text"), text }),
  v.looseObject({ type: v.literal("refusal"), refusal: text }),
  v.looseObject({ type: v.literal("image_url"), image_url: v.looseObject({ url: text }) }),
  v.looseObject({ type: v.literal("input_audio"), input_audio: v.looseObject({ data: text }) }),
  v.looseObject({ type: v.literal("file"), file: anything }),
]);
const chatContent = textOr(v.array(chatPart));
const chatMessage = v.variant("role", [
  v.looseObject({ role: v.picklist(["system", "developer", "user"]), content: chatContent }),
  v.looseObject({ role: v.literal("assistant"), content: maybe(chatContent) }),
  v.looseObject({ role: v.literal("tool"), content: chatContent, tool_call_id: text }),
  v.looseObject({ role: v.literal("function"), content: v.nullable(text), name: text }),
]);
const chatTool = v.variant("type", [
  v.looseObject({ type: v.literal("function"), function: v.looseObject({ name: text }) }),
  v.looseObject({ type: v.literal("custom"), custom: v.looseObject({ name: text }) }),
]);
const chat = v.looseObject({
  model,
  messages: one(chatMessage),
  stream,
  temperature,
  max_tokens: maybe(positive),
  max_completion_tokens: maybe(positive),
  n: maybe(positive),
  tools: maybe(v.array(chatTool)),
});

const tokens = v.array(v.number());
const completions = v.looseObject({
  model,
  prompt: v.union([text, v.array(text), tokens, v.array(tokens)]),
  stream,
  temperature,
  max_tokens: maybe(count),
});
const embeddings = v.looseObject({
  model,
  input: v.union([v.pipe(text, v.nonEmpty()), one(text), tokens, v.array(tokens)]),
  encoding_format: v.optional(v.picklist(["float", "base64"])),
  dimensions: maybe(positive),
});

const responseItem = v.looseObject({
  type: v.optional(
    v.picklist([
      ...(["message", "reasoning", "function_call", "function_call_output"] as const),
      ...(["custom_tool_call", "custom_tool_call_output", "item_reference"] as const),
      ...(["web_search_call", "file_search_call", "local_shell_call"] as const),
      ...(["local_shell_call_output", "image_generation_call", "compaction"] as const),
    ]),
  ),
  role: v.optional(v.picklist(["user", "assistant", "system", "developer"])),
});
const responses = v.looseObject({
  model,
  input: textOr(v.array(responseItem)),
  stream,
  temperature,
  store: maybe(v.boolean()),
  max_output_tokens: maybe(v.pipe(v.number(), v.integer(), v.minValue(16))),
  previous_response_id: maybe(v.pipe(text, v.startsWith("resp_"))),
  tools: v.optional(v.array(v.looseObject({ type: text }))),
});

const messagePart = v.looseObject({
  type: v.picklist([
    ...(["text", "image", "document", "thinking", "redacted_thinking"] as const),
    ...(["tool_use", "tool_result", "server_tool_use", "web_search_tool_result"] as const),
    ...(["search_result", "container_upload", "mcp_tool_use", "mcp_tool_result"] as const),
  ]),
});
const message = v.looseObject({
  role: v.picklist(["user", "assistant"]),
  content: textOr(v.array(messagePart)),
});
const countTokens = v.looseObject({
  model,
  messages: one(message),
  system: v.optional(textOr(v.array(messagePart))),
  tools: v.optional(v.array(v.looseObject({ name: text }))),
});
const messages = v.looseObject({
  ...countTokens.entries,
  max_tokens: count,
  stream: v.optional(v.boolean()),
  temperature: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
});

const camelOrSnake = [
  ...["text", "inlineData", "inline_data", "fileData", "file_data", "functionCall"],
  ...["function_call", "functionResponse", "function_response", "executableCode"],
  ...["codeExecutionResult", "thoughtSignature", "toolCall", "toolResponse"],
];
const geminiPart = v.pipe(
  v.looseObject({ text: v.optional(text) }),
  v.check((part) => camelOrSnake.some((key) => key in part), "must have one data field"),
);
const content = v.looseObject({
  role: v.optional(v.picklist(["user", "model", "function"])),
  parts: one(geminiPart),
});
const generate = v.looseObject({
  contents: one(content),
  generationConfig: v.optional(v.looseObject({ maxOutputTokens: v.optional(positive) })),
  tools: v.optional(v.array(anything)),
});
const geminiCount = v.union([
  v.looseObject({ contents: one(content) }),
  v.looseObject({ generateContentRequest: v.looseObject({ model: text }) }),
]);
const embed = v.looseObject({ content });
const batch = v.looseObject({ requests: one(v.looseObject({ model: text, content })) });

/** By the end of the path, in the order they are looked up. */
export const requestShapes: readonly (readonly [end: RegExp, shape: v.GenericSchema])[] = [
  [/\/chat\/completions$/, chat],
  [/\/completions$/, completions],
  [/\/responses$/, responses],
  [/\/embeddings$/, embeddings],
  [/\/messages$/, messages],
  [/\/messages\/count_tokens$/, countTokens],
  [/:(?:streamG|g)enerateContent$/, generate],
  [/:countTokens$/, geminiCount],
  [/:embedContent$/, embed],
  [/:batchEmbedContents$/, batch],
];
