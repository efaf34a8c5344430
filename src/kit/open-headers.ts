/** Headers that carry a credential, or stand for one. */
const secretHeader =
  /^(?:authorization|proxy-authorization|cookie2?|api-key|x-api-key|x-goog-api-key|x-management-key|sec-websocket-protocol|x-amz-security-token)$|token|secret|password/;

/** Fewer characters are no client key. */
const shortestKey = 16;

/**
 * The headers of a request without those that carry credentials, and without any that repeats one:
 * what a policy from disk may see.
 */
export function toOpenHeaders(headers: Headers): Readonly<Record<string, string>> {
  const keys: string[] = [];
  const open: Record<string, string> = {};
  headers.forEach((value, name) => {
    if (!secretHeader.test(name)) open[name] = value;
    else if (value.length >= shortestKey) keys.push(value.replace(/^bearer\s+/i, ""));
  });
  for (const key of keys) {
    for (const name in open) if (open[name]?.includes(key)) delete open[name];
  }
  return open;
}
