import type { ErrorCode } from "../contract/errors.ts";
import type { Dialect } from "../contract/plugin.ts";
import type { RunningExchange } from "../exchange.ts";
import { toClientHeaders } from "../headers.ts";
import { isObject, parse } from "../kit/json-member.ts";
import { send, toProblem } from "../reply.ts";
import type { UpstreamError } from "../upstream-error.ts";

/** Longest sentence of a provider that is told, in characters. */
const longestMessage = 4096;

const codes: Readonly<Record<number, ErrorCode>> = {
  404: "model_not_found",
  408: "upstream_timeout",
  413: "body_too_large",
  422: "unprocessable",
  429: "rate_limited",
  503: "overloaded",
  504: "upstream_timeout",
  529: "overloaded",
};

/** Statuses that only one vendor knows, as all others say the same. */
const statuses: Readonly<Record<number, number>> = { 529: 503 };

/** Tells a client of another dialect what its provider said of the request. */
export function passForeignError(
  x: RunningExchange,
  error: UpstreamError,
  dialect: Dialect,
): Response | Promise<Response> {
  const known = error.status >= 500 ? "upstream_bad_answer" : "bad_request";
  const code = codes[error.status] ?? known;
  const status = statuses[error.status] ?? error.status;
  const body = parse(error.body ?? "");
  const said = isObject(body) ? dialect.translation?.readError(body) : undefined;
  const headers = toClientHeaders(x, error.headers);
  headers["content-type"] = "application/json";
  return send(x, { status, headers, stream: false, code: undefined }, () => {
    x.finish({ kind: "upstream_error", status, upstreamStatus: error.status });
    const wait = Number(headers["retry-after"] ?? Number.NaN);
    const problem = toProblem(x, {
      code,
      ...(said && { message: said.slice(0, longestMessage) }),
      ...(wait > 0 && { retryAfterSeconds: wait }),
    });
    return x.route.dialect.error({ ...problem, status });
  });
}
