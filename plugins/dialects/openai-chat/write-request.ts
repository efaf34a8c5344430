import type {
  NeutralMedia,
  NeutralMessage,
  NeutralOutput,
  NeutralRequest,
  NeutralTool,
  NeutralToolChoice,
  NeutralToolResult,
} from "../../../src/contract/neutral.ts";
import type { Told } from "../../../src/contract/translation.ts";
import { toDataUrl } from "../../../src/kit/data-url.ts";
import { toOpenaiEffort } from "../../../src/kit/thinking-effort.ts";
import { toErrorText } from "../../../src/kit/tool-error.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** Most stop sequences that the API takes. */
const mostStops = 4;

/** Writes a Chat Completions request. */
export function writeRequest(request: NeutralRequest, model: string, told: Told): object {
  const { reasoning, temperature, topP, seed, parallelTools, logprobs } = request;
  const system = request.system.map(({ text }) => text).join("\n\n");
  const effort = toOpenaiEffort(reasoning?.effort, reasoning?.budgetTokens);
  return {
    model,
    ...(request.stream && { stream: true, stream_options: { include_usage: true } }),
    messages: [
      ...(system === "" ? [] : [{ role: "system", content: system }]),
      ...request.messages.flatMap(writeMessage),
    ],
    ...toLimit(request, model),
    ...(request.tools.length > 0 && {
      tools: request.tools.map(writeTool),
      ...(request.toolChoice && { tool_choice: writeChoice(request.toolChoice, request.tools) }),
      ...(parallelTools !== undefined && { parallel_tool_calls: parallelTools }),
    }),
    ...(request.output && { response_format: writeOutput(request.output) }),
    ...(effort && { reasoning_effort: effort }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(request.stop && { stop: toStops(request.stop, told) }),
    ...(seed !== undefined && { seed }),
    ...(request.presencePenalty && { presence_penalty: request.presencePenalty }),
    ...(request.frequencyPenalty && { frequency_penalty: request.frequencyPenalty }),
    ...(logprobs !== undefined && {
      logprobs: true,
      ...(logprobs > 0 && { top_logprobs: logprobs }),
    }),
    ...(request.verbosity !== undefined && { verbosity: request.verbosity }),
    ...(request.user !== undefined && { user: request.user }),
    ...(request.cacheKey && { prompt_cache_key: request.cacheKey }),
  };
}

/** OpenAI's own models that think take the newer name alone, other servers often the older. */
const newer = /^(?:o\d|gpt-[5-9]|chatgpt)/;

function toLimit({ maxOutputTokens }: NeutralRequest, model: string): object {
  if (maxOutputTokens === undefined) return {};
  return newer.test(model)
    ? { max_completion_tokens: maxOutputTokens }
    : { max_tokens: maxOutputTokens };
}

function toStops(stop: readonly string[], told: Told): readonly string[] {
  if (stop.length > mostStops) told.changed.add("stop");
  return stop.slice(0, mostStops);
}

function writeMessage({ role, parts }: NeutralMessage): object[] {
  return role === "user" ? writeUser(parts) : writeAssistant(parts);
}

function writeUser(parts: NeutralMessage["parts"]): object[] {
  const results: object[] = [];
  const content: object[] = [];
  for (const part of parts) {
    if (part.type === "tool_result") {
      results.push({ role: "tool", tool_call_id: part.id, content: toResultText(part) });
      for (const one of part.parts) if (one.type !== "text") content.push(writeMedia(one));
    } else if (part.type === "text") content.push({ type: "text", text: part.text });
    else if (isMedia(part)) content.push(writeMedia(part));
  }
  if (content.length === 0) return results;
  const [first] = content as { type: string; text?: string }[];
  const isPlain = content.length === 1 && first?.type === "text";
  return [...results, { role: "user", content: isPlain ? first.text : content }];
}

function isMedia(part: NeutralMessage["parts"][number]): part is NeutralMedia {
  return part.type === "image" || part.type === "document" || part.type === "audio";
}

function toResultText({ parts, isError }: NeutralToolResult): string {
  const text = parts
    .map((part) => (part.type === "text" ? part.text : `[${part.type} below]`))
    .join("\n");
  return toErrorText(text, isError);
}

function writeAssistant(parts: NeutralMessage["parts"]): object[] {
  const text: string[] = [];
  const calls: object[] = [];
  let refusal: string | undefined;
  for (const part of parts) {
    if (part.type === "text") text.push(part.text);
    else if (part.type === "refusal") refusal = (refusal ?? "") + part.text;
    else if (part.type === "tool_call") {
      const { id, name, arguments: args } = part;
      calls.push(
        part.custom
          ? { id, type: "custom", custom: { name, input: args } }
          : { id, type: "function", function: { name, arguments: args } },
      );
    } else if (part.type !== "thinking") {
      throw new Untranslatable("messages", `hold ${part.type} said by the assistant`);
    }
  }
  if (text.length === 0 && calls.length === 0 && refusal === undefined) return [];
  return [
    {
      role: "assistant",
      content: text.length === 0 ? null : text.join(""),
      ...(refusal !== undefined && { refusal }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
  ];
}

function writeMedia({ type, mediaType, data, url, text, name, detail }: NeutralMedia): object {
  if (text !== undefined) return { type: "text", text };
  const address = url ?? toDataUrl(mediaType, data ?? "");
  if (type === "image") {
    return { type: "image_url", image_url: { url: address, ...(detail && { detail }) } };
  }
  if (type === "document") {
    return { type: "file", file: { filename: name ?? "document.pdf", file_data: address } };
  }
  const format = /mp3|mpeg/.test(mediaType) ? "mp3" : "wav";
  return { type: "input_audio", input_audio: { data, format } };
}

function writeTool({ name, description, schema, strict, custom }: NeutralTool): object {
  const told = { name, ...(description !== undefined && { description }) };
  if (custom) return { type: "custom", custom: told };
  return {
    type: "function",
    function: {
      ...told,
      parameters: schema ?? { type: "object", properties: {} },
      ...(strict && { strict }),
    },
  };
}

function writeChoice(choice: NeutralToolChoice, tools: readonly NeutralTool[]): unknown {
  if (choice.type !== "tool") return choice.type;
  const { name } = choice;
  const isCustom = tools.some((tool) => tool.name === name && tool.custom);
  return isCustom ? { type: "custom", custom: { name } } : { type: "function", function: { name } };
}

function writeOutput(output: NeutralOutput): object {
  if (output.type === "json") return { type: "json_object" };
  const { name, description, schema, strict } = output;
  const json_schema = {
    name,
    ...(description !== undefined && { description }),
    schema,
    ...(strict !== undefined && { strict }),
  };
  return { type: "json_schema", json_schema };
}
