import type { Problem } from "../../../src/contract/plugin.ts";
import { toOpenaiError } from "../../../src/kit/openai-shapes.ts";

/**
 * The event that ends a stream that failed. One for all: Codex knows `response.failed` alone, the
 * SDKs raise on a member `error`.
 * @param number of the event in its stream
 */
export function failedEvent(problem: Problem, number: number): string {
  const { code, message, requestId: id } = problem;
  const event = {
    type: "response.failed",
    sequence_number: number,
    response: { id, object: "response", status: "failed", error: { code, message }, output: [] },
    error: toOpenaiError(problem),
  };
  return `event: response.failed\ndata: ${JSON.stringify(event)}\n\n`;
}
