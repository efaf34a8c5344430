import { toCount } from "../../../src/kit/json-member.ts";
import { dialect } from "../../dialects/openai-chat/index.ts";
import { finishOf, usageOf, wantsUsage } from "./chat.ts";
import { type Echo, piecesOf, toEcho } from "./echo.ts";
import { type Given, readTexts } from "./texts.ts";
import { created, newId, toData, type Wire } from "./wire.ts";

/** What OpenAI takes where `max_tokens` is absent. */
const defaultMaxTokens = 16;

/** Most replies to one request: each prompt has `n` of them. */
const maxReplies = 128;

/** OpenAI's older Completions. */
export const completions: Wire = {
  dialect,
  surface: "completions",
  speak({ json, model, stream }) {
    const prompts = readTexts(json.prompt ?? "");
    if (prompts === undefined) return { refused: noPrompt };
    const count = toCount(json.n) || 1;
    if (prompts.length * count > maxReplies) return { refused: tooMany };
    const limit = toCount(json.max_tokens) || defaultMaxTokens;
    const echoes = prompts.map((prompt) => answer(prompt, json.max_tokens === 0 ? 0 : limit));
    const usage = toUsage(echoes, count);
    const said = echoes.flatMap((echo, i) =>
      Array.from({ length: count }, () => withPrompt(echo, prompts[i], json.echo === true)),
    );
    if (stream) return { pieces: events(model, said, wantsUsage(json) ? usage : undefined) };
    const choices = said.map((echo, index) => toChoice(index, echo.text, finishOf(echo)));
    return { whole: { ...headOf(model), choices, usage } };
  },
};

const noPrompt =
  "`prompt` must be a text, a list of texts, a list of tokens, or a list of such lists.";
const tooMany = `A request may ask for ${maxReplies} replies: fewer prompts, or a smaller \`n\`.`;

function answer({ text, tokens }: Given, limit: number): Echo {
  const said = text ?? `${tokens.length} tokens`;
  const echo = toEcho({ said, characters: said.length }, limit);
  const inputTokens = text === undefined ? tokens.length : echo.inputTokens;
  if (limit === 0) return { text: "", isCut: true, inputTokens, outputTokens: 0 };
  return { ...echo, inputTokens };
}

function withPrompt(echo: Echo, prompt: Given | undefined, wanted: boolean): Echo {
  return wanted ? { ...echo, text: (prompt?.text ?? "") + echo.text } : echo;
}

function toUsage(echoes: readonly Echo[], count: number): object {
  const sum = (key: "inputTokens" | "outputTokens"): number =>
    echoes.reduce((all, echo) => all + echo[key], 0);
  const outputTokens = sum("outputTokens") * count;
  return usageOf({ text: "", isCut: false, inputTokens: sum("inputTokens"), outputTokens });
}

function* events(
  model: string,
  said: readonly Echo[],
  usage: object | undefined,
): Generator<string> {
  const head = headOf(model);
  const more = usage === undefined ? {} : { usage: null };
  for (const [index, echo] of said.entries()) {
    for (const text of piecesOf(echo.text)) {
      yield toData({ ...head, choices: [toChoice(index, text, null)], ...more });
    }
    yield toData({ ...head, choices: [toChoice(index, "", finishOf(echo))], ...more });
  }
  if (usage !== undefined) yield toData({ ...head, choices: [], usage });
  yield "data: [DONE]\n\n";
}

function headOf(model: string): object {
  return { id: newId("cmpl-"), object: "text_completion", created, model };
}

function toChoice(index: number, text: string, finish_reason: string | null): object {
  return { index, text, logprobs: null, finish_reason };
}
