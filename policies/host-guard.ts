/**
 * On a loopback listener, refuses a foreign Host (DNS rebinding) and requests that a browser sends
 * for another web site. It can't tell a local program from a person. A fault refuses the request.
 */
import ipaddr from "ipaddr.js";
import * as v from "valibot";
import { definePolicy, type Exchange, type Verdict } from "../src/contract/policy.ts";

const loopbackHosts = new Set(["localhost", "127.0.0.1", "::1", "[::1]"]);

export const policy = definePolicy({
  name: "host-guard",
  summary: "A loopback listener answers only to its own name, and to no other web site.",
  stage: "edge",
  onFault: "closed",
  covers: { surfaces: "all", streams: true, admin: true },
  config: { schema: v.strictObject({}), keys: {} },
  create(_config, host) {
    if (!isLoopbackListener(host.facts.listenHost)) return undefined;
    const { listenPort } = host.facts;
    const usual = new Set([...loopbackHosts].map((name) => `${name}:${listenPort}`));
    return { request: (x) => guard(x, usual) };
  },
});

/** The resolver takes many spellings, such as 127.1, 2130706433 or ::ffff:127.0.0.1. */
function isLoopbackListener(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (name === "localhost") return true;
  return ipaddr.isValid(name) && ipaddr.process(name).range() === "loopback";
}

/** By the whole address: `127.evil.example` is a name that its owner may point at 127.0.0.1. */
const loopbackAddress = /^127(?:\.\d{1,3}){3}$/;

function isLoopback(host: string): boolean {
  return loopbackHosts.has(host) || loopbackAddress.test(host);
}

function guard(x: Exchange, usual: ReadonlySet<string>): Verdict {
  const host = x.header("host");
  if (host === null) return { deny: "bad_host" };
  if (!usual.has(host) && !isLoopback(withoutPort(host))) return { deny: "bad_host" };
  const site = x.header("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return { deny: "cross_site" };
  const origin = x.header("origin");
  if (origin !== null && !isOwnOrigin(origin, host)) return { deny: "cross_site" };
  return "pass";
}

/** A page of this very listener, by scheme, name and port. */
function isOwnOrigin(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}

function withoutPort(host: string): string {
  return host.replace(/:\d{1,5}$/, "").toLowerCase();
}
