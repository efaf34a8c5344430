import { isLoopbackHost } from "./loopback.ts";

/**
 * What is wrong with the address of a token endpoint, as the end of a sentence; undefined: nothing.
 * Secrets go there, so it must be encrypted, and nothing in it may be mistaken for another host.
 * @param allowInsecure accept plain http that leaves this machine
 */
export function endpointProblem(address: string, allowInsecure = false): string | undefined {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return "must be a URL, such as https://auth.example.com/token";
  }
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    return "must not hold a user, a password or a fragment";
  }
  if (url.protocol === "https:") return undefined;
  if (url.protocol !== "http:") return "must start with https://";
  if (allowInsecure || isLoopbackHost(url.host)) return undefined;
  return "would send secrets in the clear: use https://";
}
