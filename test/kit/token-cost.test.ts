import { describe, expect, test } from "bun:test";
import { tokensSpent, tokensToReserve } from "../../src/kit/token-cost.ts";
import { callOf } from "../harness/stubs.ts";

const usage = { inputTokens: 100, outputTokens: 20, cachedTokens: 0, reasoningTokens: 0 };
const early = { ...usage, outputTokens: 1 };
const x = (facts: Parameters<typeof callOf>[0] = {}, surface = "messages") => ({
  surface,
  dialect: "anthropic-messages",
  call: callOf({ stream: true, ...facts }, 70),
});

describe("tokensToReserve", () => {
  test.each([
    ["input and the limit of the client", x({ maxTokens: 500 }), 570],
    ["input and the usual output without one", x(), 70 + 4096],
    ["input alone where there is no output", x({ maxTokens: 0 }, "embeddings"), 70],
    ["nothing to count tokens", x({ maxTokens: 0 }, "count_tokens"), 0],
    ["nothing to count tokens by a verb", x({ verb: "countTokens" }, "gemini"), 0],
    ["nothing without a call", { ...x(), call: undefined }, 0],
  ])("%s", (_name, of, expected) => {
    expect(tokensToReserve(of)).toBe(expected);
  });
});

describe("tokensSpent", () => {
  type Result = Parameters<typeof tokensSpent>[1];
  const result = (kind: Result["kind"], bytes = 0, of: Result["usage"] = undefined): Result => ({
    kind,
    bytes,
    usage: of,
  });
  test.each<[string, Parameters<typeof tokensSpent>[0], Result, number]>([
    ["what is reported", x(), result("ok", 9999, usage), 120],
    [
      "more than was asked for, if it is reported",
      x({ maxTokens: 5 }),
      result("ok", 9, usage),
      120,
    ],
    ["an estimate, if nothing is reported", x(), result("ok", 2400), 70 + 100],
    ["whose output is at most what was asked for", x({ maxTokens: 5 }), result("ok", 2400), 75],
    ["by the characters of a whole reply", x({ stream: false }), result("ok", 400), 170],
    ["nothing, refused by the provider", x(), result("refused", 0), 0],
    ["nothing, never sent", x(), result("unsent"), 0],
    ["nothing, never reached", x(), result("failed"), 0],
    ["input and what was streamed, broken off", x(), result("failed", 240), 80],
    ["input, in time for nothing", x(), result("timeout"), 70],
    ["input and what was streamed, left", x(), result("aborted", 240), 80],
    ["the reported input of a stream that was left", x(), result("aborted", 240, early), 110],
    ["the reported output if it is more", x(), result("aborted", 24, usage), 120],
    ["nothing to count tokens", x({}, "count_tokens"), result("ok", 99), 0],
  ])("%s", (_name, of, ended, expected) => {
    expect(tokensSpent(of, ended)).toBe(expected);
  });
});
