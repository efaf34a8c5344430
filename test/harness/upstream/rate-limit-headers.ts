import type { Headers } from "./wire.ts";

/** What each vendor tells of its limits on every answer, a success too; Gemini tells nothing. */
export const rateLimitHeaders: Readonly<Record<"openai" | "anthropic" | "gemini", Headers>> = {
  openai: {
    "x-request-id": "req_upstream_7",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-remaining-tokens": "29980",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-reset-tokens": "40ms",
  },
  anthropic: {
    "request-id": "req_upstream_7",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-11-01T00:00:01Z",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-input-tokens-remaining": "29000",
    "anthropic-ratelimit-input-tokens-reset": "2026-11-01T00:00:02Z",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "7900",
    "anthropic-ratelimit-output-tokens-reset": "2026-11-01T00:00:02Z",
  },
  gemini: {},
};
