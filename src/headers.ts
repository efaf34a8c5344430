import { type RunningExchange, rawQuery } from "./exchange.ts";

/**
 * Never sent upstream: hop-by-hop fields (RFC 9110, 7.6.1), what we set ourselves, the client's
 * credentials and cookies, and what tells where the client is.
 */
const kept = new Set([
  ...["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"],
  ...["host", "content-length", "content-encoding", "accept-encoding", "http2-settings"],
  ...["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-management-key"],
  ...["cookie", "cookie2", "origin", "referer", "forwarded", "via", "true-client-ip"],
  ...["x-real-ip", "x-client-ip", "client-ip", "x-cluster-client-ip", "fastly-client-ip"],
  ...["x-original-forwarded-for", "x-envoy-external-address", "content-type"],
]);
const keptPrefixes = /^(?:x-forwarded-|x-cliproxy-|cf-|sec-|proxy-)/;
/** First letters of `keptPrefixes`: the others need no pattern. */
const prefixLetters = new Set(["x", "c", "s", "p"]);

function isKept(name: string): boolean {
  return kept.has(name) || (prefixLetters.has(name[0] as string) && keptPrefixes.test(name));
}

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

/** Of the provider's answer, only what clients act on: no server names, cookies, accounts. */
const passed = new Set(["retry-after", "retry-after-ms", "x-should-retry"]);

function isPassed(name: string): boolean {
  return (
    name.startsWith("x-ratelimit-") || name.startsWith("anthropic-ratelimit-") || passed.has(name)
  );
}

/** Longest wait that is passed on, in seconds: a client must not be put to sleep for a year. */
const longestRetryAfter = 86_400;

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
  upstream.forEach((value, name) => {
    if (isPassed(name)) out[name] = value;
  });
  if (Number(out["retry-after"]) > longestRetryAfter) out["retry-after"] = `${longestRetryAfter}`;
  const theirs = upstream.get("request-id") ?? upstream.get("x-request-id");
  if (theirs !== null && /^[\w.:-]{1,128}$/.test(theirs)) out["x-upstream-request-id"] = theirs;
  return out;
}
