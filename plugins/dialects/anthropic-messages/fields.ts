import type { FieldRules, Translation } from "../../../src/contract/translation.ts";

const other = "is the business of another API's servers";

/** What becomes of the fields of a request to Messages that goes to another API. */
export const fields: Readonly<Record<string, FieldRules>> = {
  "": {
    model: { as: "always" },
    messages: { as: "always" },
    system: { as: "always" },
    stream: { as: "always" },
    max_tokens: { as: "always" },
    tools: { as: "tools" },
    tool_choice: { as: "toolChoice" },
    thinking: { as: "reasoning" },
    output_config: { as: "always" },
    output_format: { as: "output" },
    temperature: { as: "temperature" },
    top_p: { as: "topP" },
    top_k: { as: "topK" },
    stop_sequences: { as: "stop" },
    metadata: { as: "user" },
    cache_control: { as: "cacheKey" },
    service_tier: { drop: "tiers are the vendor's own" },
    speed: { drop: "speeds are the vendor's own", idle: ["standard"] },
    inference_geo: { drop: "other providers have no such choice" },
    diagnostics: { drop: "other providers have none" },
    context_management: { drop: "other providers keep the whole context" },
    user_profile_id: { drop: "other providers don't know it" },
    workspace_id: { drop: "other providers don't know it" },
    container: { refuse: `${other}: leave it out` },
    mcp_servers: { refuse: `${other}: give the tools themselves in \`tools\`` },
    thread: { refuse: "continues what only Anthropic has stored: send all messages instead" },
  },
  output_config: {
    effort: { as: "reasoning" },
    format: { as: "output" },
    task_budget: { drop: "other providers have none" },
  },
  metadata: { user_id: { as: "user" } },
};

/** What Messages can't hold of what other APIs have. */
export const limits: Translation["limits"] = {
  seed: { drop: "Messages has no seed" },
  presencePenalty: { drop: "Messages has no penalties" },
  frequencyPenalty: { drop: "Messages has no penalties" },
  verbosity: { drop: "Messages has no verbosity" },
  logprobs: { refuse: "can't be had: the provider of that model tells no log probabilities" },
  audio: { refuse: "holds audio, which the provider of that model does not take" },
  late_system: { change: "joins the system prompt, which stands before all messages" },
  custom_tool: { change: "becomes a tool with one string, `input`" },
};
