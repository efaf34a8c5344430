/**
 * Refuses a request that asks for more output tokens than the operator allows. It can't limit one
 * that names no number: what comes then is up to the provider. A fault refuses the request.
 */
import * as v from "valibot";
import { definePolicy } from "../src/contract/policy.ts";
import { doc } from "../src/kit/schema.ts";

const schema = v.strictObject({
  maxOutputTokens: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      doc("Most output tokens that one request may ask for.", { example: 32_000 }),
    ),
  ),
});

export const policy = definePolicy({
  name: "request-limits",
  summary: "A request may ask for so many output tokens.",
  stage: "guard",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: { schema, keys: { maxOutputTokens: "server.limits.max_output_tokens" } },
  create({ maxOutputTokens: most }) {
    if (most === undefined) return undefined;
    return {
      call(_x, { maxTokens }) {
        if (maxTokens === undefined || maxTokens <= most) return "pass";
        return {
          deny: "too_many_tokens",
          message:
            `The request asks for ${maxTokens} output tokens, and the limit is ${most} ` +
            "(server.limits.max_output_tokens). Ask for fewer.",
        };
      },
    };
  },
});
