import { dialect as messages } from "../plugins/dialects/anthropic-messages/index.ts";
import { dialect as gemini } from "../plugins/dialects/gemini/index.ts";
import { dialect as chat } from "../plugins/dialects/openai-chat/index.ts";
import { dialect as responses } from "../plugins/dialects/openai-responses/index.ts";
import type { NeutralRequest } from "../src/contract/neutral.ts";
import type { Dialect } from "../src/contract/plugin.ts";
import type { Translation } from "../src/contract/translation.ts";

/** The dialects that are translated among each other. */
export const dialects: readonly Dialect[] = [chat, responses, messages, gemini];

export const pairs: readonly (readonly [string, string, Dialect, Dialect])[] = dialects.flatMap(
  (from) =>
    dialects.flatMap((to) => (from === to ? [] : [[from.name, to.name, from, to] as const])),
);

export function translationOf(dialect: Dialect): Translation {
  if (dialect.translation === undefined) throw new Error(`${dialect.name} is not translated`);
  return dialect.translation;
}

export const city = "Zürich — 東京 🌤";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

/** A conversation with tools as a coding agent has it, in the neutral form; as long as is asked. */
export function agentRequest(rounds: number): NeutralRequest {
  const tools = Array.from({ length: 12 }, (_, i) => ({
    name: `tool_${i}`,
    description: `Does ${i}. ${"It takes its time and says what it did. ".repeat(8)}`,
    schema,
  }));
  const messagesOf = Array.from({ length: rounds }, (_, i) => [
    { role: "user" as const, parts: [{ type: "text" as const, text: `Round ${i}: ${city}` }] },
    {
      role: "assistant" as const,
      parts: [
        { type: "text" as const, text: "I look at it. ".repeat(20) },
        {
          ...{ type: "tool_call" as const, id: `call_${i}`, name: `tool_${i % 12}` },
          arguments: JSON.stringify({ city, path: `/src/file-${i}.ts` }),
        },
      ],
    },
    {
      role: "user" as const,
      parts: [
        {
          ...{ type: "tool_result" as const, id: `call_${i}`, name: `tool_${i % 12}` },
          parts: [{ type: "text" as const, text: `line of a file "quoted" \\ \n`.repeat(90) }],
          isError: false,
        },
      ],
    },
  ]).flat();
  return {
    model: "m",
    stream: true,
    system: [{ type: "text", text: "You are an agent. ".repeat(50) }],
    messages: [...messagesOf, { role: "user", parts: [{ type: "text", text: "Go on." }] }],
    tools,
    maxOutputTokens: 1000,
    temperature: 0.5,
    streamUsage: true,
    uses: new Map(),
  };
}
