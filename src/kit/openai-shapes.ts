/** What goes wrong, for OpenAI's shape of an error. */
interface Failure {
  readonly code: string;
  readonly status: number;
  readonly message: string;
}

/** What OpenAI's error bodies and events hold below `error`. */
export function toOpenaiError({ code, status, message }: Failure): object {
  return { message, type: errorType(status), param: null, code };
}

function errorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/** What the body of an error says; some servers put the sentence where OpenAI has an object. */
export function readOpenaiMessage(body: Readonly<Record<string, unknown>>): string | undefined {
  const error = body.error ?? body;
  if (typeof error === "string") return error;
  const { message } = error as { message?: unknown };
  return typeof message === "string" ? message : undefined;
}

/** A model as OpenAI lists it; `created` in seconds since the epoch. */
export interface OpenaiModel {
  readonly id: string;
  readonly provider: string;
  readonly created: number;
}

export function toOpenaiModel({ id, provider, created }: OpenaiModel): object {
  return { id, object: "model", created, owned_by: provider };
}

export function toOpenaiModels(models: readonly OpenaiModel[]): object {
  return { object: "list", data: models.map(toOpenaiModel) };
}

const paths: Readonly<Record<string, string>> = {
  chat: "/chat/completions",
  completions: "/completions",
  responses: "/responses",
  embeddings: "/embeddings",
  models: "/models",
};

/** Where a server with OpenAI's API takes the calls of a surface. */
export function openaiPath(surface: string): string {
  const path = paths[surface];
  if (path === undefined) throw new Error(`OpenAI's API has no path for ${surface}`);
  return path;
}
