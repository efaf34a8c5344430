import type { Problem } from "../../../src/contract/plugin.ts";

const types = "type.googleapis.com/google.rpc.";

/** What Google's error bodies, events and elements hold. */
export function toError(problem: Problem): object {
  const { code: reason, status, message, requestId, retryAfterSeconds } = problem;
  const details: object[] = [
    { "@type": `${types}ErrorInfo`, reason: reason.toUpperCase(), domain: "cliproxy" },
  ];
  if (requestId !== "") details.push({ "@type": `${types}RequestInfo`, requestId });
  if (retryAfterSeconds !== undefined) {
    details.push({ "@type": `${types}RetryInfo`, retryDelay: `${retryAfterSeconds}s` });
  }
  return { error: { code: status, message, status: statusName(status), details } };
}

/** Canonical names of google.rpc.Code by HTTP status. */
const names: Readonly<Record<number, string>> = {
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  405: "UNIMPLEMENTED",
  408: "DEADLINE_EXCEEDED",
  426: "FAILED_PRECONDITION",
  429: "RESOURCE_EXHAUSTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

function statusName(status: number): string {
  return names[status] ?? (status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT");
}
