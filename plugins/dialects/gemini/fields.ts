import type { FieldRules, Translation } from "../../../src/contract/translation.ts";

const foreign = "can't be had: the provider of that model speaks another API";

/** What becomes of the fields of a Gemini request that goes to another API. */
export const fields: Readonly<Record<string, FieldRules>> = {
  "": {
    model: { as: "always" },
    contents: { as: "always" },
    systemInstruction: { as: "always" },
    tools: { as: "tools" },
    toolConfig: { as: "toolChoice" },
    generationConfig: { as: "always" },
    safetySettings: { drop: "other providers have filters of their own" },
    labels: { drop: "they are for the vendor's bills" },
    serviceTier: { drop: "tiers are the vendor's own" },
    store: { drop: "other providers store nothing that could be fetched", idle: [false] },
    cachedContent: { refuse: "is stored at Google: send the content itself" },
  },
  toolConfig: {
    functionCallingConfig: { as: "toolChoice" },
    retrievalConfig: { drop: "it is for tools that Google's servers run" },
  },
  generationConfig: {
    maxOutputTokens: { as: "always" },
    temperature: { as: "temperature" },
    topP: { as: "topP" },
    topK: { as: "topK" },
    stopSequences: { as: "stop" },
    seed: { as: "seed" },
    presencePenalty: { as: "presencePenalty" },
    frequencyPenalty: { as: "frequencyPenalty" },
    responseLogprobs: { as: "logprobs" },
    logprobs: { as: "logprobs" },
    responseMimeType: { as: "output" },
    responseJsonSchema: { as: "output" },
    responseSchema: { as: "output" },
    thinkingConfig: { as: "reasoning" },
    mediaResolution: { drop: "other providers have no such choice" },
    candidateCount: { refuse: "must be 1: providers of other APIs give one reply", idle: [1] },
    responseModalities: { as: "always" },
    speechConfig: { refuse: foreign },
  },
};

/** What Gemini can't hold of what other APIs have. */
export const limits: Translation["limits"] = {
  verbosity: { drop: "Gemini has no verbosity" },
  user: { drop: "Gemini knows no users" },
  cacheKey: { drop: "the provider finds by itself what it can cache" },
  cache_hint: { drop: "the provider finds by itself what it can cache" },
  strict_tool: { drop: "Gemini has no strict tools" },
  late_system: { change: "joins the system prompt, which stands before all messages" },
  custom_tool: { change: "becomes a tool with one string, `input`" },
  parallelTools: { drop: "Gemini has no such choice" },
  image_url: { refuse: "is an image by its address, which Gemini does not fetch: send its data" },
  document_url: { refuse: "is a document by its address, which Gemini does not fetch" },
};
