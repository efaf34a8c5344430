import { readFileSync } from "node:fs";
import { parse } from "yaml";
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
  const server = child(parse(text, { logLevel: "silent" }), "server");
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
  const text = String(value).replace(/\$\{(\w+)(?::-([^}]*))?\}/g, (_all, name: string, other) => {
    return env[name] || (other ?? "");
  });
  return text === "" ? undefined : text;
}
