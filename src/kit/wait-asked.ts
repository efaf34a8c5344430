/** Longest wait that a provider is believed, in milliseconds: a day. */
const longestMs = 86_400_000;

/** The little that is needed of a provider's response headers. */
interface AnswerHeaders {
  get(name: string): string | null;
  forEach(tell: (value: string, name: string) => void): void;
}

/**
 * How long a provider asks to be left alone: by `Retry-After` (RFC 9110, 10.2.3), the finer
 * `retry-after-ms`, or the latest reset of a limit that is used up.
 * @returns milliseconds; undefined where it says nothing that makes sense
 */
export function waitAsked(headers: AnswerHeaders): number | undefined {
  const now = headers.get("date");
  const wait =
    toNumber(headers.get("retry-after-ms")) ??
    times(toNumber(headers.get("retry-after")), 1000) ??
    untilDate(headers.get("retry-after"), now) ??
    untilReset(headers, now);
  return wait === undefined ? undefined : Math.min(Math.max(Math.ceil(wait), 0), longestMs);
}

function toNumber(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}(?:\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}

function times(value: number | undefined, factor: number): number | undefined {
  return value === undefined ? undefined : value * factor;
}

/** From the provider's own clock: ours may be off. */
function untilDate(date: string | null, providerNow: string | null): number | undefined {
  const ms = Date.parse(date ?? "") - Date.parse(providerNow ?? "");
  return Number.isNaN(ms) ? undefined : ms;
}

/** `anthropic-ratelimit-tokens-remaining: 0` has its `…-reset`, and so has `x-ratelimit-…`. */
function untilReset(headers: AnswerHeaders, now: string | null): number | undefined {
  let longest: number | undefined;
  headers.forEach((value, name) => {
    if (value !== "0" || !name.includes("ratelimit") || !name.includes("remaining")) return;
    const reset = headers.get(name.replace("remaining", "reset"));
    const wait = reset === null ? undefined : (untilDate(reset, now) ?? ofUnits(reset));
    if (wait !== undefined && wait > (longest ?? -1)) longest = wait;
  });
  return longest;
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A time as OpenAI tells it: `6m0s`, `1.5s`, `250ms`. */
function ofUnits(text: string): number | undefined {
  if (!/^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h|d)){1,5}$/.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) {
    sum += Number(amount) * unitMs[unit as keyof typeof unitMs];
  }
  return sum;
}
