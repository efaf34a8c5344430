import { type RunningExchange, rawQuery } from "./exchange.ts";
import { isKept } from "./kit/kept-headers.ts";

/** Headers of the client that the provider should see: betas, versions, request ids, tracing. */
export function toUpstreamHeaders(
  headers: Headers,
  defaults: Readonly<Record<string, string>>,
): Record<string, string> {
  const out: Record<string, string> = { ...defaults };
  const named = headers.get("connection");
  let key: string | undefined | null = null;
  headers.forEach((value, name) => {
    if (isKept(name)) return;
    // Short values hold no key, and then none needs to be looked up.
    if (value.length >= shortestKey) {
      if (key === null) key = sentKey(headers);
      if (key !== undefined && value.includes(key)) return;
    }
    out[name] = value;
  });
  if (named !== null) dropNamed(out, named);
  out["content-type"] = "application/json";
  out["accept-encoding"] = "identity";
  return out;
}

/** Headers that every API understands; all others are of the client's own. */
const common = ["user-agent", "traceparent", "tracestate"];

/** What a provider of another dialect should see: its betas and versions are not the client's. */
export function toForeignHeaders(
  headers: Headers,
  defaults: Readonly<Record<string, string>>,
): Record<string, string> {
  const out: Record<string, string> = { ...defaults };
  const key = sentKey(headers);
  for (const name of common) {
    const value = headers.get(name);
    if (value !== null && (key === undefined || !value.includes(key))) out[name] = value;
  }
  out["content-type"] = "application/json";
  out["accept-encoding"] = "identity";
  return out;
}

/** Fewer characters are no client key (`isSampleKey` refuses them). */
const shortestKey = 16;

/** The client's key, which must not go up in another field either. */
function sentKey(headers: Headers): string | undefined {
  const sent =
    headers.get("authorization")?.slice("bearer ".length).trim() ??
    headers.get("x-api-key") ??
    headers.get("x-goog-api-key");
  return sent === null || sent === undefined || sent.length < shortestKey ? undefined : sent;
}

/** Fields that the client's Connection header names are for this hop only. */
function dropNamed(out: Record<string, string>, named: string): void {
  for (const name of named.toLowerCase().split(",")) delete out[name.trim()];
}

/** The client's query without the parameters that may hold its key. */
export function toUpstreamQuery(url: string): string {
  const query = rawQuery(url);
  if (query === "" || !/[?&](?:key|auth_token|[^=&]*%[^=&]*)(?:[=&]|$)/i.test(query)) return query;
  const rest = query
    .slice(1)
    .split("&")
    .filter((pair) => !keyParameters.has(nameOf(pair)));
  return rest.length === 0 ? "" : `?${rest.join("&")}`;
}

const keyParameters = new Set(["key", "auth_token"]);

/** A name may be spelled in escapes: `k%65y` is `key` to whoever reads it. */
function nameOf(pair: string): string {
  const name = pair.split("=", 1)[0] ?? "";
  try {
    return decodeURIComponent(name).toLowerCase();
  } catch {
    return name.toLowerCase();
  }
}

/** Most of a provider's limits that are told, and longest name and value, in characters. */
const mostLimits = 32;
const longestName = 64;
const limitValue = /^[\x20-\x7e]{1,128}$/;

function isLimit(name: string, value: string): boolean {
  const isNamed = name.startsWith("x-ratelimit-") || name.startsWith("anthropic-ratelimit-");
  return isNamed && name.length <= longestName && limitValue.test(value);
}

/** Longest wait that is passed on, in seconds: a client must not be put to sleep for a year. */
const longestRetryAfter = 86_400;
const digits = /^\d+(?:\.\d+)?$/;

/**
 * What a header of a provider tells a client that acts on it; undefined: it is not for clients, or
 * makes no sense. No server names, cookies, accounts.
 */
function toPassed(name: string, value: string, upstream: Headers): string | undefined {
  if (name === "x-should-retry") return value === "true" || value === "false" ? value : undefined;
  if (name === "retry-after-ms") {
    return digits.test(value) ? clamp(Number(value), longestRetryAfter * 1000) : undefined;
  }
  if (name === "retry-after") {
    const seconds = digits.test(value) ? Number(value) : secondsUntil(value, upstream.get("date"));
    return Number.isNaN(seconds) ? undefined : clamp(seconds, longestRetryAfter);
  }
  return isLimit(name, value) ? value : undefined;
}

/** From the provider's own clock: ours, or the client's, may be off. */
function secondsUntil(date: string, providerNow: string | null): number {
  return (Date.parse(date) - Date.parse(providerNow ?? "")) / 1000;
}

function clamp(value: number, most: number): string {
  return String(Math.min(Math.max(Math.ceil(value), 0), most));
}

/** Starts the response headers of an exchange from the house's and its provider's. */
export function toClientHeaders(
  x: Pick<RunningExchange, "id" | "houseHeaders">,
  upstream: Headers | undefined,
): Record<string, string> {
  const out: Record<string, string> = {
    ...x.houseHeaders,
    "cache-control": "no-store",
    "x-request-id": x.id,
  };
  if (upstream === undefined) return out;
  let limits = 0;
  upstream.forEach((value, name) => {
    const passed = toPassed(name, value, upstream);
    if (passed === undefined) return;
    if (!name.includes("ratelimit") || limits++ < mostLimits) out[name] = passed;
  });
  const theirs = upstream.get("request-id") ?? upstream.get("x-request-id");
  if (theirs !== null && /^[\w.:-]{1,128}$/.test(theirs)) out["x-upstream-request-id"] = theirs;
  return out;
}
