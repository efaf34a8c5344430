import type { Provider } from "./contract/plugin.ts";
import type { AttemptCause } from "./contract/policy.ts";
import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import { toClientHeaders } from "./headers.ts";
import { readText } from "./kit/read-text.ts";
import type { Secret } from "./kit/secret.ts";
import { send } from "./reply.ts";
import type { UpstreamAnswer } from "./upstream.ts";

/** Longest error body that is read; a longer one is not passed on. */
const errorBytes = 64 * 1024;

/** Longest that an error body is waited for, in milliseconds: its status says enough. */
const errorBodyMs = 5000;

/** What a provider's error status means for the attempt loop. */
export function errorClass(status: number): "credential" | "retry" | "final" {
  if (status === 401 || status === 402 || status === 403) return "credential";
  return status === 429 || status >= 500 ? "retry" : "final";
}

/** The same for the policies, which tell a limit from a fault. */
export function causeOf(why: ErrorClass, status: number): AttemptCause {
  if (why === "credential") return "credential";
  if (why === "final") return "request";
  return status === 429 ? "limit" : "transient";
}

/** A provider's own error, bounded and checked, ready to be passed on. */
export interface UpstreamError {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string | undefined;
}

/**
 * Reads a provider's error body: JSON only, within bounds, and without the credential in it.
 * @param sent the secret that the request was sent with
 * @param withinMs how long it may take, in milliseconds
 */
export async function readUpstreamError(
  answer: UpstreamAnswer,
  sent: Secret | undefined,
  withinMs = errorBodyMs,
): Promise<UpstreamError> {
  const { response, cancel } = answer;
  const { status, headers } = response;
  const timer = setTimeout(cancel, withinMs);
  const text = await readText(response, errorBytes).catch(() => undefined);
  clearTimeout(timer);
  cancel();
  const plain = text === undefined ? undefined : normalForm(text);
  if (plain === undefined) return { status, headers, body: undefined };
  const secret = sent?.expose();
  if (secret !== undefined && plain.includes(secret)) return { status, headers, body: undefined };
  return { status, headers, body: text };
}

type ErrorClass = ReturnType<typeof errorClass>;

/** What an error means, by its status and the provider's own words. */
export function classOf({ status, body }: UpstreamError, kind: Provider): ErrorClass {
  const isCredential = body !== undefined && kind.refusesCredential?.(status, body) === true;
  return isCredential ? "credential" : errorClass(status);
}

/**
 * Tells the client of a provider's error: its own words when they are about the request, ours when
 * they are about the proxy's credential or no JSON.
 */
export function toRefusal(
  error: UpstreamError,
  why: ErrorClass = errorClass(error.status),
): Refusal | undefined {
  if (why === "credential") {
    // Its words may name the account or part of the key; a retry with the same key can't help.
    return { code: "upstream_refused_credential", headers: { "x-should-retry": "false" } };
  }
  if (error.body !== undefined) return undefined;
  // A limit is a limit, also when the words come from some machine in front of the provider.
  return { code: error.status === 429 ? "all_skipped" : "upstream_bad_answer" };
}

/** Passes the provider's own error body on. */
export function passError(x: RunningExchange, error: UpstreamError): Response | Promise<Response> {
  const { status, body } = error;
  const headers = toClientHeaders(x, error.headers);
  headers["content-type"] = "application/json";
  return send(x, { status, headers, stream: false, code: undefined }, () => {
    x.finish({ kind: "upstream_error", status, upstreamStatus: status });
    return body ?? "";
  });
}

/** A JSON object without needless escapes, in which a secret could hide; undefined: it is none. */
function normalForm(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? JSON.stringify(value) : undefined;
  } catch {
    return undefined;
  }
}
