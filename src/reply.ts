import type { Problem } from "./contract/plugin.ts";
import { errorTable, type Refusal } from "./errors.ts";
import type { ExchangeEnd, RunningExchange } from "./exchange.ts";
import { toClientHeaders } from "./headers.ts";
import type { MaybePromise, MutableHead } from "./pipeline.ts";
import type { PoolAnswer } from "./runtime/runtime.ts";

/** Turns a refusal into the client's answer and ends the exchange. */
export function refuse(
  x: RunningExchange,
  refusal: Refusal,
  upstream?: PoolAnswer,
): MaybePromise<Response> {
  const headers = toClientHeaders(x, upstream?.headers);
  headers["content-type"] = "application/json";
  if (refusal.code === "unauthenticated") headers["www-authenticate"] = "Bearer";
  // Claude Code would send a wrong key for minutes, each time as one more failed login.
  if (isLoginFailure(refusal)) headers["x-should-retry"] = "false";
  const wait = retryAfterOf(refusal);
  if (wait !== undefined) headers["retry-after"] = String(wait);
  Object.assign(headers, refusal.headers);
  const { status } = errorTable[refusal.code];
  return send(x, { status, headers, stream: false, code: refusal.code }, (final) => {
    const shown = final ?? refusal;
    x.finish({
      kind: endKind(shown),
      status: errorTable[shown.code].status,
      code: shown.code,
      policy: shown.policy,
      upstreamStatus: upstream?.status ?? 0,
    });
    return x.method === "HEAD" ? null : x.route.dialect.error(toProblem(x, shown));
  });
}

/** Ends an exchange with a body that the house made itself. */
export function answer(
  x: RunningExchange,
  body: string | null,
  more: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): MaybePromise<Response> {
  const { status = 200 } = more;
  const headers = toClientHeaders(x, undefined);
  if (body !== null) headers["content-type"] = "application/json";
  Object.assign(headers, more.headers);
  return send(x, { status, headers, stream: false, code: undefined }, (final) => {
    if (final !== undefined) return x.route.dialect.error(toProblem(x, final));
    x.finish({ kind: "success", status });
    return body;
  });
}

/** Shows the head to the response hooks, then builds the answer with what `body` returns. */
export function send(
  x: RunningExchange,
  head: MutableHead,
  body: (refusal: Refusal | undefined) => BodyInit | null,
): MaybePromise<Response> {
  const refusal = x.route.pipeline.response(x, head);
  if (refusal instanceof Promise) return refusal.then((late) => build(x, head, late, body));
  return build(x, head, refusal, body);
}

function build(
  x: RunningExchange,
  head: MutableHead,
  refusal: Refusal | undefined,
  body: (refusal: Refusal | undefined) => BodyInit | null,
): Response {
  const { headers } = head;
  if (refusal === undefined) return new Response(body(undefined), { status: head.status, headers });
  headers["content-type"] = "application/json";
  const { status } = errorTable[refusal.code];
  const content = body(refusal);
  x.finish({ kind: endKind(refusal), status, code: refusal.code, policy: refusal.policy });
  return new Response(content, { status, headers });
}

export function toProblem(x: RunningExchange, refusal: Refusal): Problem {
  const { status, message } = errorTable[refusal.code];
  const wait = retryAfterOf(refusal);
  return {
    code: refusal.code,
    status,
    message: refusal.message ?? message,
    requestId: x.id,
    ...(wait !== undefined && { retryAfterSeconds: wait }),
  };
}

/** Whole seconds. */
function retryAfterOf({ retryAfterSeconds: seconds }: Refusal): number | undefined {
  return seconds === undefined ? undefined : Math.max(1, Math.ceil(seconds));
}

export function endKind(refusal: Refusal): ExchangeEnd["kind"] {
  const { code } = refusal;
  if (code === "policy_fault" || code === "internal") return "fault";
  if (code.startsWith("upstream_")) return "upstream_error";
  if (code === "revoked" || code === "shutting_down" || code === "client_stalled") return "aborted";
  return "denied";
}

function isLoginFailure({ code }: Refusal): boolean {
  return code === "unauthenticated" || code === "too_many_failures";
}
