import type {
  NeutralMedia,
  NeutralPart,
  NeutralRequest,
  NeutralTool,
  NeutralToolCall,
  NeutralToolResult,
} from "../../../src/contract/neutral.ts";
import { isObject, parse } from "../../../src/kit/json-member.ts";
import { nearestEffort, toBudget } from "../../../src/kit/thinking-effort.ts";
import { Untranslatable } from "../../../src/kit/untranslatable.ts";

/** From 3 on a level is set instead of a budget, and calls without a signature are refused. */
const newer = /gemini-(?:[3-9]|\d\d)/;

/** What Google's own documents tell to send for a call that another model made. */
const noSignature = "skip_thought_signature_validator";

/** Writes a Gemini request. */
export function writeRequest(request: NeutralRequest, model: string): object {
  const isNewer = newer.test(model);
  const { temperature, topP, topK, seed, stop, maxOutputTokens, logprobs, output } = request;
  const config = {
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(topK !== undefined && { topK }),
    ...(stop && { stopSequences: stop }),
    ...(seed !== undefined && { seed }),
    ...(request.presencePenalty && { presencePenalty: request.presencePenalty }),
    ...(request.frequencyPenalty && { frequencyPenalty: request.frequencyPenalty }),
    ...(logprobs !== undefined && { responseLogprobs: true, ...(logprobs > 0 && { logprobs }) }),
    ...(output && { responseMimeType: "application/json" }),
    ...(output?.type === "schema" && { responseJsonSchema: withoutDraft(output.schema) }),
    ...toThinking(request, isNewer),
  };
  const names = namesOf(request);
  return {
    ...(request.system.length > 0 && {
      systemInstruction: { parts: request.system.map(({ text }) => ({ text })) },
    }),
    contents: request.messages.flatMap(({ role, parts }) => {
      const written = writeParts(parts, names, isNewer);
      return written.length === 0
        ? []
        : [{ role: role === "assistant" ? "model" : "user", parts: written }];
    }),
    ...(request.tools.length > 0 && {
      tools: [{ functionDeclarations: request.tools.map(writeTool) }],
      ...writeChoice(request),
    }),
    ...(Object.keys(config).length > 0 && { generationConfig: config }),
  };
}

function withoutDraft({ $schema: _, ...schema }: Readonly<Record<string, unknown>>): object {
  return schema;
}

function toThinking({ reasoning }: NeutralRequest, isNewer: boolean): object {
  if (reasoning === undefined) return {};
  const { effort, budgetTokens, show } = reasoning;
  const shown = show === undefined ? {} : { includeThoughts: show };
  if (isNewer && effort !== undefined) {
    const thinkingLevel = nearestEffort(effort, ["low", "medium", "high"]);
    return { thinkingConfig: { thinkingLevel, ...shown } };
  }
  const budget = budgetTokens ?? (effort === undefined ? undefined : toBudget(effort));
  return {
    thinkingConfig: {
      ...(budget !== undefined && { thinkingBudget: Math.min(budget, mostBudget) }),
      ...shown,
    },
  };
}

/** Most that models before 3 may think, in tokens. */
const mostBudget = 24_576;

function namesOf({ messages }: NeutralRequest): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { parts } of messages) {
    for (const part of parts) if (part.type === "tool_call") names.set(part.id, part.name);
  }
  return names;
}

function writeParts(
  parts: readonly NeutralPart[],
  names: ReadonlyMap<string, string>,
  isNewer: boolean,
): object[] {
  const out: object[] = [];
  let signature: string | undefined;
  let hasCalled = false;
  for (const part of parts) {
    if (part.type === "thinking") {
      // What another vendor's model thought would be no thought of this one.
      if (part.seal?.origin === "gemini") signature = part.seal.value;
      continue;
    }
    const isFirstCall = part.type === "tool_call" && !hasCalled;
    if (isFirstCall) hasCalled = true;
    const needed = isFirstCall && isNewer ? noSignature : undefined;
    const thoughtSignature = signature ?? needed;
    signature = undefined;
    out.push({ ...writePart(part, names), ...(thoughtSignature && { thoughtSignature }) });
  }
  if (signature !== undefined) out.push({ text: "", thoughtSignature: signature });
  return out;
}

function writePart(part: NeutralPart, names: ReadonlyMap<string, string>): object {
  switch (part.type) {
    case "text":
    case "refusal":
      return { text: part.text };
    case "tool_call":
      return { functionCall: writeCall(part) };
    case "tool_result":
      return { functionResponse: writeResult(part, names) };
    case "thinking":
      return { text: part.text, thought: true };
    default:
      return writeMedia(part);
  }
}

/** Ids that this proxy gave mean nothing to the provider. */
function withId(id: string): object {
  return id.startsWith("call_cp") ? {} : { id };
}

function writeCall({ id, name, arguments: text, custom }: NeutralToolCall): object {
  const args = custom ? { input: text } : text.trim() === "" ? {} : parse(text);
  if (!isObject(args)) {
    throw new Untranslatable("messages", "hold a tool call whose arguments are no JSON object");
  }
  return { ...withId(id), name, args };
}

function writeResult(
  { id, name, parts, isError }: NeutralToolResult,
  names: ReadonlyMap<string, string>,
): object {
  const called = name ?? names.get(id);
  if (called === undefined) {
    throw new Untranslatable("messages", "hold a tool's result without the call before it");
  }
  const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("\n");
  const media = parts.filter((part) => part.type !== "text");
  return {
    ...withId(id),
    name: called,
    response: isError ? { error: text } : { output: text },
    ...(media.length > 0 && { parts: media.map(writeMedia) }),
  };
}

function writeMedia({ mediaType, data, text }: NeutralMedia): object {
  if (text !== undefined) return { text };
  return { inlineData: { mimeType: mediaType, data } };
}

const textArgument = {
  type: "object",
  properties: { input: { type: "string" } },
  required: ["input"],
};

function writeTool({ name, description, schema, custom }: NeutralTool): object {
  const parameters = custom ? textArgument : schema && withoutDraft(schema);
  return {
    name,
    ...(description !== undefined && { description }),
    ...(parameters && { parametersJsonSchema: parameters }),
  };
}

function writeChoice({ toolChoice }: NeutralRequest): object {
  if (toolChoice === undefined || toolChoice.type === "auto") return {};
  const isNamed = toolChoice.type === "tool";
  const functionCallingConfig = {
    mode: toolChoice.type === "none" ? "NONE" : "ANY",
    ...(isNamed && { allowedFunctionNames: [toolChoice.name] }),
  };
  return { toolConfig: { functionCallingConfig } };
}
