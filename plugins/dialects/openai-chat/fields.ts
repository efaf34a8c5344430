import type { FieldRules, Translation } from "../../../src/contract/translation.ts";

/** What becomes of the fields of a Chat Completions request that goes to another API. */
export const fields: Readonly<Record<string, FieldRules>> = {
  "": {
    model: { as: "always" },
    messages: { as: "always" },
    stream: { as: "always" },
    stream_options: { as: "always" },
    max_tokens: { as: "always" },
    max_completion_tokens: { as: "always" },
    tools: { as: "tools" },
    tool_choice: { as: "toolChoice" },
    parallel_tool_calls: { as: "parallelTools" },
    response_format: { as: "output" },
    reasoning_effort: { as: "reasoning" },
    temperature: { as: "temperature" },
    top_p: { as: "topP" },
    top_k: { as: "topK" },
    stop: { as: "stop" },
    seed: { as: "seed" },
    presence_penalty: { as: "presencePenalty" },
    frequency_penalty: { as: "frequencyPenalty" },
    logprobs: { as: "logprobs" },
    top_logprobs: { as: "logprobs" },
    verbosity: { as: "verbosity" },
    user: { as: "user" },
    safety_identifier: { as: "user" },
    prompt_cache_key: { as: "cacheKey" },
    prompt_cache_retention: { drop: "other providers have no such choice" },
    prompt_cache_options: { drop: "other providers have no such choice" },
    metadata: { drop: "it is for what the vendor stores" },
    store: { drop: "other providers store nothing that could be fetched", idle: [false] },
    service_tier: { drop: "tiers are the vendor's own", idle: ["auto", "default"] },
    moderation: { drop: "other providers have none" },
    prediction: { drop: "it only makes replies faster" },
    n: { refuse: "must be 1: providers of other APIs give one reply", idle: [1] },
    modalities: { as: "always" },
    audio: { refuse: "can't be had: the provider of that model speaks another API" },
    logit_bias: { refuse: "can't be had: the provider of that model speaks another API" },
    web_search_options: { refuse: "can't be had: the provider of that model speaks another API" },
    functions: { refuse: "is the older form: send `tools`" },
    function_call: { refuse: "is the older form: send `tool_choice`" },
  },
  stream_options: {
    include_usage: { as: "always" },
    include_obfuscation: { drop: "replies of other providers have none", idle: [false] },
  },
};

/** What Chat Completions can't hold of what other APIs have. */
export const limits: Translation["limits"] = {
  topK: { drop: "Chat Completions has no top_k" },
  cache_hint: { drop: "the provider finds by itself what it can cache" },
  thinking: { drop: "Chat Completions takes no earlier thoughts" },
  media_result: { change: "goes into a user message behind the results, which hold text alone" },
  tool_error: { change: "becomes text that begins with `Error:`" },
  document_url: { refuse: "is a document by its address, which that provider does not fetch" },
};
