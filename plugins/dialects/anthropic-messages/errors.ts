import type { Problem } from "../../../src/contract/plugin.ts";

/** What an error of Messages holds, as a body and as an event. */
export function toError(problem: Problem): object {
  const { message, requestId } = problem;
  return {
    type: "error",
    error: { type: errorType(problem), message },
    request_id: requestId || null,
  };
}

const errorTypes: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
};

function errorType({ code, status }: Problem): string {
  if (code === "overloaded" || code === "shutting_down") return "overloaded_error";
  return errorTypes[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}
