import process from "node:process";
import { listen, openStream } from "./node-listener.ts";
import { askedProxies, openNodePool } from "./node-pool.ts";
import type { Runtime } from "./runtime.ts";

const version = process.versions.deno ?? "";

/** Deno by its `node:http`: `Deno.serve` lets a head or a body take as long as it likes. */
export const denoRuntime: Runtime = {
  name: "deno",
  version,
  compiled: false,
  gaps: askedProxies(process.env).map((key) => ({
    key,
    what: `is set, but Deno ${version} can't use it here: providers are called directly`,
  })),
  listen,
  openPool: (options) => openNodePool(options, undefined),
  openStream,
};
