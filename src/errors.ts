import type { ErrorCode } from "./contract/errors.ts";

/** Status and sentence of a refusal; a policy may replace the sentence, never the status. */
export interface ErrorSpec {
  readonly status: number;
  readonly message: string;
}

/** The one table: docs/errors.md lists the same codes, and a test compares both. */
export const errorTable: Readonly<Record<ErrorCode, ErrorSpec>> = {
  bad_request: { status: 400, message: "The request body is not what this endpoint takes." },
  bad_host: {
    status: 403,
    message:
      "The Host header does not name this proxy. Call it by 127.0.0.1, localhost or [::1], " +
      "or by the address it is bound to.",
  },
  cross_site: {
    status: 403,
    message: "Requests from other web sites are refused. Call the proxy from a client, not a page.",
  },
  body_too_large: {
    status: 413,
    message: "The request body is larger than server.limits.body_bytes allows.",
  },
  body_timeout: {
    status: 408,
    message: "The request body did not arrive in time (server.limits.body_timeout).",
  },
  unauthenticated: {
    status: 401,
    // Claude Code takes the name of its own key header for a lost login, and hides the sentence.
    message:
      "No valid client key. Send it as `Authorization: Bearer`, or in the key header of your API.",
  },
  too_many_failures: {
    status: 429,
    message: "Too many failed logins from this address. Wait, then send a valid client key.",
  },
  not_allowed: { status: 403, message: "This client key may not do that." },
  address_denied: { status: 403, message: "This address is on the denylist." },
  address_not_allowed: { status: 403, message: "This address is not on the allowlist." },
  rate_limited: { status: 429, message: "Too many requests. Wait, then try again." },
  provider_limited: {
    status: 429,
    message: "The provider of that model is at its configured limit of requests or tokens.",
  },
  quota_exceeded: { status: 429, message: "The quota of tokens for this period is used up." },
  too_many_tokens: {
    status: 400,
    message: "The request asks for more output tokens than this proxy allows.",
  },
  maintenance: { status: 503, message: "The proxy is in maintenance. Try again later." },
  audit_unavailable: {
    status: 503,
    message: "The audit log can't be written, and nothing is done without a record.",
  },
  not_found: { status: 404, message: "There is no such endpoint here." },
  method_not_allowed: { status: 405, message: "This endpoint does not take that method." },
  upgrade_required: {
    status: 426,
    message: "This proxy takes no WebSockets. Send the request as a plain HTTP POST.",
  },
  model_not_found: {
    status: 404,
    message: "No provider here serves that model. GET /v1/models lists what there is.",
  },
  wrong_dialect: {
    status: 400,
    message: "The provider of that model speaks another API. Call its own endpoint.",
  },
  unsupported_media_type: {
    status: 415,
    message: "Send the body as it is, without content-encoding.",
  },
  unprocessable: { status: 422, message: "The request is well formed, but can't be carried out." },
  conflict: { status: 409, message: "That would contradict what there is now." },
  precondition_failed: {
    status: 412,
    message: "It has changed meanwhile. Read it again, then send its ETag as `If-Match`.",
  },
  overloaded: { status: 503, message: "The proxy is at its limit of work. Try again shortly." },
  policy_fault: { status: 503, message: "A security policy failed, so the request was refused." },
  internal: { status: 500, message: "The proxy failed. Its log has the request id." },
  shutting_down: { status: 503, message: "The proxy is shutting down. Try again shortly." },
  revoked: { status: 403, message: "Access was revoked while this request was running." },
  no_credential: { status: 503, message: "The provider of that model has no usable credential." },
  all_skipped: { status: 429, message: "Every provider of that model is at its limit." },
  model_cooldown: {
    status: 429,
    message: "The provider of that model is left alone for a while, after what it answered last.",
  },
  client_stalled: {
    status: 408,
    message: "The client left the answer unread for too long (server.limits.write_stall).",
  },
  upstream_unreachable: { status: 502, message: "The provider could not be reached." },
  upstream_refused_credential: {
    status: 502,
    message: "The provider refused the credential that the proxy holds for it.",
  },
  upstream_bad_answer: {
    status: 502,
    message: "The provider's answer could not be understood or passed on.",
  },
  upstream_timeout: { status: 504, message: "The provider did not answer in time." },
  upstream_truncated: {
    status: 502,
    message: "The provider ended its answer before it was complete.",
  },
};

/** Why a request is refused, before a dialect words it. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
  /** The policy that denied or failed. */
  readonly policy?: string;
  /** A policy answers itself; the code is for where that answer can't be told. */
  readonly answer?: { readonly text: string };
  /** Only this candidate is refused: another one may be tried. */
  readonly tryNext?: boolean;
  /** Extra response headers, lower-case. */
  readonly headers?: Readonly<Record<string, string>>;
}
