import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { fill } from "../config/expand.ts";
import { findConfigFile } from "../config/load.ts";
import type { Env } from "./command.ts";

const defaults = { host: "127.0.0.1", port: 8317 } as const;

/**
 * The listener of the configuration. Only its address is read, and leniently: a health check must
 * not fail because a secret that only the proxy needs is not in its environment.
 */
export function configuredUrl(file: string | undefined, env: Env): string {
  const found = findConfigFile(file, env);
  return urlOf(found === undefined ? "" : readFileSync(found, "utf8"), env);
}

/** The address in the text of a configuration. */
export function urlOf(text: string, env: Env): string {
  // A file that is being edited must not make a container restart: what can be read is read.
  const options = { logLevel: "silent", uniqueKeys: false, strict: false } as const;
  const server = child(parseDocument(text, options).toJS(), "server");
  const tls = child(server, "tls");
  const host = scalar(child(server, "host"), env) ?? defaults.host;
  const port = scalar(child(server, "port"), env) ?? String(defaults.port);
  const isTls = tls !== undefined && scalar(child(tls, "enabled"), env) !== "false";
  return `${isTls ? "https" : "http"}://${reachable(host)}:${port}`;
}

/** An address that means "all of this machine" is asked on its loopback. */
function reachable(host: string): string {
  if (host === "0.0.0.0" || host === "*") return "127.0.0.1";
  if (host === "::" || host === "[::]") return "[::1]";
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

function child(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}

function scalar(value: unknown, env: Env): string | undefined {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
    return undefined;
  }
  const filled = fill(String(value), env);
  return filled.ok && filled.text !== "" ? filled.text : undefined;
}
