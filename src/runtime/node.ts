import { listen, openStream } from "./node-listener.ts";
import { askedProxies, openNodePool } from "./node-pool.ts";
import type { Runtime } from "./runtime.ts";

const { version } = process;

/** First releases whose HTTP client can send through a proxy, by major version. */
const firstWithProxy: Readonly<Record<number, number>> = { 22: 21, 24: 5 };

/** Whether a version of Node can send through a proxy that the environment names. */
export function canUseProxy(of: string): boolean {
  const [major = 0, minor = 0] = of.replace(/^v/, "").split(".").map(Number);
  return major > 24 || minor >= (firstWithProxy[major] ?? Number.POSITIVE_INFINITY);
}

const usesProxy = canUseProxy(version);

export const nodeRuntime: Runtime = {
  name: "node",
  version: version.slice(1),
  compiled: false,
  gaps: usesProxy
    ? []
    : askedProxies(process.env).map((key) => ({
        key,
        what: `is set, but Node ${version.slice(1)} can't use it: providers are called directly`,
      })),
  listen,
  openPool: (options) => openNodePool(options, usesProxy ? process.env : undefined),
  openStream,
};
