import { dialect } from "../../dialects/anthropic-messages/index.ts";
import { hear, noMessages, toTokens } from "./echo.ts";
import type { Wire } from "./wire.ts";

/** Anthropic's count of tokens: an estimate, the same that a message would report. */
export const countTokens: Wire = {
  dialect,
  surface: "count_tokens",
  speak({ json }) {
    const heard = hear(json.messages, json.system);
    if (heard === undefined) return { refused: noMessages };
    return { whole: { input_tokens: toTokens(heard.characters) } };
  },
};
