import type { FieldRules, Translation } from "../../../src/contract/translation.ts";

const stored = "continues what only OpenAI has stored: send the whole conversation as `input`";

/** What becomes of the fields of a Responses request that goes to another API. */
export const fields: Readonly<Record<string, FieldRules>> = {
  "": {
    model: { as: "always" },
    input: { as: "always" },
    instructions: { as: "always" },
    stream: { as: "always" },
    stream_options: { as: "always" },
    include: { as: "always" },
    max_output_tokens: { as: "always" },
    tools: { as: "tools" },
    tool_choice: { as: "toolChoice" },
    parallel_tool_calls: { as: "parallelTools" },
    text: { as: "always" },
    reasoning: { as: "always" },
    temperature: { as: "temperature" },
    top_p: { as: "topP" },
    top_logprobs: { as: "logprobs" },
    user: { as: "user" },
    safety_identifier: { as: "user" },
    prompt_cache_key: { as: "cacheKey" },
    prompt_cache_retention: { drop: "other providers have no such choice" },
    prompt_cache_options: { drop: "other providers have no such choice" },
    metadata: { drop: "it is for what the vendor stores" },
    client_metadata: { drop: "it is for the vendor" },
    store: { drop: "other providers store nothing that could be fetched", idle: [false] },
    service_tier: { drop: "tiers are the vendor's own", idle: ["auto", "default"] },
    moderation: { drop: "other providers have none" },
    truncation: { drop: "other providers refuse what is too long", idle: ["disabled"] },
    context_management: { drop: "other providers keep the whole context" },
    max_tool_calls: { drop: "it counts calls of tools that the vendor's servers run" },
    background: {
      refuse: "must be false: nobody else keeps replies to be fetched",
      idle: [false],
    },
    previous_response_id: { refuse: stored },
    conversation: { refuse: stored },
    prompt: { refuse: "names what only OpenAI has stored: send the prompt itself" },
  },
  stream_options: {
    include_obfuscation: { drop: "replies of other providers have none", idle: [false] },
  },
  text: {
    format: { as: "output" },
    verbosity: { as: "verbosity" },
  },
  reasoning: {
    effort: { as: "reasoning" },
    summary: { as: "reasoning" },
    generate_summary: { as: "reasoning" },
  },
};

/** What Responses can't hold of what other APIs have. */
export const limits: Translation["limits"] = {
  topK: { drop: "Responses has no top_k" },
  stop: { drop: "Responses has no stop sequences" },
  seed: { drop: "Responses has no seed" },
  presencePenalty: { drop: "Responses has no penalties" },
  frequencyPenalty: { drop: "Responses has no penalties" },
  cache_hint: { drop: "the provider finds by itself what it can cache" },
  audio: { refuse: "holds audio, which the provider of that model does not take" },
  late_system: { change: "joins the instructions, which stand before all messages" },
  tool_error: { change: "becomes text that begins with `Error:`" },
};
