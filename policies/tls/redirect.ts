import { isLoopbackHost } from "../../src/kit/loopback.ts";
import { coversHost } from "../../src/kit/tls-names.ts";

/**
 * Sends a plain request on to HTTPS, and only to a name of a certificate: a made-up Host must not
 * make this a door to elsewhere.
 * @param port of the main listener
 */
export function redirect(request: Request, names: readonly string[], port: number): Response {
  const given = request.headers.get("host") ?? "";
  const host = given.replace(/:\d{1,5}$/, "");
  if (!/^(\[[\da-f:.]+\]|[\w.-]+)$/i.test(host) || !isOurs(host, names)) {
    return say(421, "This is not served here.\n");
  }
  const path = request.url.startsWith("/") ? request.url : afterOrigin(request.url);
  const target = `https://${host}${port === 443 ? "" : `:${port}`}${path}`;
  return say(308, "Use https.\n", { location: target });
}

function isOurs(host: string, names: readonly string[]): boolean {
  return coversHost(names, host) || isLoopbackHost(host);
}

function afterOrigin(url: string): string {
  const slash = url.indexOf("/", url.indexOf("//") + 2);
  return slash < 0 ? "/" : url.slice(slash);
}

function say(status: number, text: string, more: Record<string, string> = {}): Response {
  const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
  return new Response(text, { status, headers: { ...headers, connection: "close", ...more } });
}
