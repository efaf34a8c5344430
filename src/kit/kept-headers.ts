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
  // Orders to a vendor's front door: hide the usage, bill somebody else, do another thing.
  ...["x-goog-fieldmask", "x-goog-user-project"],
  ...["x-http-method-override", "x-http-method", "x-method-override"],
]);
const keptPrefixes = /^(?:x-forwarded-|x-cliproxy-|cf-|sec-|proxy-)/;
/** First letters of `keptPrefixes`: the others need no pattern. */
const prefixLetters = new Set(["x", "c", "s", "p"]);

/** Whether a header, by its lower-case name, is for the proxy alone. */
export function isKept(name: string): boolean {
  return kept.has(name) || (prefixLetters.has(name[0] as string) && keptPrefixes.test(name));
}
