import process from "node:process";
import { nodeDatabase } from "./node-database.ts";
import { listen, openStream } from "./node-listener.ts";
import { openNodePool } from "./node-pool.ts";
import { bundle, openWorker } from "./node-scripts.ts";
import type { Runtime, RuntimeGap } from "./runtime.ts";

/** Variables that name a proxy, as Bun reads them. */
const proxyVariables = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] as const;

/** First minor releases whose HTTP client can send through a proxy; all later majors can. */
const firstWithProxy: Readonly<Record<number, number>> = { 22: 21, 24: 5 };

/** Whether the HTTP client of a version of Node can send through a proxy. */
export function canUseProxy(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, "").split(".").map(Number);
  return major > 24 || minor >= (firstWithProxy[major] ?? Number.POSITIVE_INFINITY);
}

/** Variables that are set and that this version of Node can't obey. */
export function proxyGaps(
  nodeVersion: string,
  env: Readonly<Record<string, string | undefined>>,
): readonly RuntimeGap[] {
  if (canUseProxy(nodeVersion)) return [];
  const what = `is set, but Node ${nodeVersion} can't use it: providers are called directly`;
  return proxyVariables
    .filter((name) => (env[name] ?? "") !== "")
    .map((key) => ({ key, what: `${what} (mend: Node 24, Bun or Deno)` }));
}

/**
 * Node, or Deno by its `node:http`: `Deno.serve` lets a head take as long as it likes, and this one
 * is the same parser with the same limits (docs/decisions/009-node-http-on-deno.md).
 */
export function createNodeRuntime(name: "node" | "deno", version: string): Runtime {
  const nodeVersion = process.versions.node;
  const proxyEnv = canUseProxy(nodeVersion) ? process.env : undefined;
  return {
    name,
    version,
    compiled: false,
    // Deno's TLS has three suites for each kind of key, and takes no list.
    choosesSuites: name === "node",
    // Node keeps the first certificate beside that of the name, and OpenSSL prefers ECDSA.
    mixesKeyKinds: name === "deno",
    dialsProxies: name === "node" && proxyEnv !== undefined,
    speaksHttp2: false,
    tellsCertificates: name === "node",
    gaps: proxyGaps(nodeVersion, process.env),
    listen,
    openPool: (options) => openNodePool(options, proxyEnv),
    openStream,
    bundle,
    openWorker,
    openDatabase: nodeDatabase(),
  };
}
