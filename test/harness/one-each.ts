import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { clientKey, type RunningProxy } from "./proxy.ts";

const key = "upstream-secret-key-1";
const models = {
  chat: ["chat-a", "gpt-4o"],
  responses: ["gpt-5-r"],
  messages: ["claude-a", "claude-mock"],
  gemini: ["gemini-a"],
};

/** One provider for each API, and no provider that speaks two. */
export function oneEach(url: string): Record<string, unknown> {
  const compatible = { protocol: "openai-compatible", base_url: url, api_key: key };
  return {
    chat: { ...compatible, dialects: ["openai-chat"], models: models.chat },
    responses: { ...compatible, dialects: ["openai-responses"], models: models.responses },
    messages: { protocol: "claude", base_url: url, api_key: key, models: models.messages },
    gemini: { protocol: "gemini", base_url: url, api_key: key, models: models.gemini },
  };
}
export function openai(where: RunningProxy): OpenAI {
  return new OpenAI({ baseURL: `${where.url}/v1`, apiKey: clientKey, maxRetries: 0 });
}
export function anthropic(where: RunningProxy): Anthropic {
  return new Anthropic({ baseURL: where.url, apiKey: clientKey, maxRetries: 0, logLevel: "off" });
}
export function google(where: RunningProxy): GoogleGenAI {
  return new GoogleGenAI({ apiKey: clientKey, httpOptions: { baseUrl: where.url } });
}

/** A tool as Responses has it, and what a model calls it with. */
export const weather = {
  type: "function" as const,
  name: "get_weather",
  description: "Weather",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  strict: false,
};
export const said = '{"city":"Zürich \\"x\\""}';
