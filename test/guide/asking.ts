import { existsSync, readFileSync } from "node:fs";
import { ask, type RawAnswer } from "../harness/edge.ts";
import { clientKey, type RunningProxy } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";

export const chat = { model: "sandbox-echo", messages: [{ role: "user", content: "hello" }] };
/** An address that no block names. */
export const stranger = "8.8.8.8";
/** What the tests' proxies take for the management API. */
export const managementKey = "cpm_test-Kx7Qm2vZ9d4Lw8Rb1Tn6Yc3Hs5Jf0Gp";

/** One chat call of a client at an address. */
export function callFrom(proxy: RunningProxy, ip: string, key = clientKey): Promise<Response> {
  const headers = { "x-forwarded-for": ip, authorization: `Bearer ${key}` };
  return proxy.post("/v1/chat/completions", chat, { headers });
}

export async function statusFrom(proxy: RunningProxy, ip: string): Promise<number> {
  const reply = await callFrom(proxy, ip);
  await reply.text();
  return reply.status;
}

/** How many of so many calls at once are let in. */
export async function admitted(
  proxy: RunningProxy,
  calls: number,
  ip = "203.0.113.1",
): Promise<number> {
  const statuses = await Promise.all(Array.from({ length: calls }, () => statusFrom(proxy, ip)));
  return statuses.filter((status) => status === 200).length;
}

/** A call of a model, as text and with what a refusal tells. */
export async function askModel(
  proxy: RunningProxy,
  path: string,
  model: string,
  maxTokens = 5,
): Promise<{ status: number; text: string; headers: Headers }> {
  const { messages } = chat;
  const reply = await proxy.post(path, { model, messages, max_tokens: maxTokens });
  return { status: reply.status, text: await reply.text(), headers: reply.headers };
}

/** A call of the management API with its key. */
export function manage(
  proxy: RunningProxy,
  method: string,
  path: string,
  body?: unknown,
): Promise<RawAnswer> {
  return ask(proxy, { key: managementKey, method, path: `/v0/management${path}`, body });
}

/** A line of the audit log. */
export interface AuditRecord {
  readonly timestamp: string;
  readonly event_type: string;
  readonly result: string;
  readonly ip: string;
}

export function recordsOf(file: string): AuditRecord[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => (line === "" ? [] : (JSON.parse(line) as AuditRecord)));
}

/** Waits for a record of a type; the latest of them. */
export async function recorded(file: string, type: string): Promise<AuditRecord> {
  let found: AuditRecord | undefined;
  await until(`a record of ${type}`, () => {
    found = recordsOf(file).findLast(({ event_type }) => event_type === type);
    return found !== undefined;
  });
  return found as AuditRecord;
}

/** The configuration that a proxy runs with. */
export function configOfProxy(proxy: RunningProxy) {
  return JSON.parse(readFileSync(proxy.configFile, "utf8"));
}

/** What the metrics' listener answers below its address. */
export async function scrape(proxy: RunningProxy, path = "/metrics"): Promise<string> {
  const { listeners } = proxy.greeting;
  if (listeners.metrics === undefined) throw new Error("there is no listener for metrics");
  return metricsAt(new URL(path, listeners.metrics).href);
}

export async function metricsAt(url: string): Promise<string> {
  const reply = await fetch(url);
  if (reply.status !== 200) throw new Error(`status ${reply.status}`);
  return reply.text();
}
