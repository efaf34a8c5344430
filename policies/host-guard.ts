/**
 * On a loopback listener, refuses a foreign Host (DNS rebinding) and requests that a browser sends
 * for another web site. It can't tell a local program from a person. A fault refuses the request.
 */
import * as v from "valibot";
import { definePolicy, type Exchange, type Verdict } from "../src/contract/policy.ts";
import { isLoopbackHost, isLoopbackListener, loopbackNames } from "../src/kit/loopback.ts";

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
    const usual = new Set([...loopbackNames].map((name) => `${name}:${listenPort}`));
    return { request: (x) => guard(x, usual) };
  },
});

function guard(x: Exchange, usual: ReadonlySet<string>): Verdict {
  const host = x.header("host");
  if (host === null) return { deny: "bad_host" };
  if (!usual.has(host) && !isLoopbackHost(host)) return { deny: "bad_host" };
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
