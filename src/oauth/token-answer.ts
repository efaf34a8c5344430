import { mostTokenCharacters } from "../kit/credential-file.ts";
import { Secret } from "../kit/secret.ts";

/** What an authorization server has given. */
export interface Tokens {
  readonly accessToken: Secret;
  /** Undefined: the one that was sent stays good. */
  readonly refreshToken: Secret | undefined;
  /** Seconds from the answer on; undefined: the server does not tell. */
  readonly expiresInSeconds: number | undefined;
}

/** Why there are no tokens; never holds one. */
export interface TokenFailure {
  /** A code of RFC 6749 or 8628, or one of ours. */
  readonly failed: string;
  /** For the log, never for a client. */
  readonly detail?: string;
  /** Seconds after which the server wants to be asked again. */
  readonly retryAfterSeconds?: number;
}

export type TokenResult = Tokens | TokenFailure;

/** Goes into a header: a space or a line break in it would forge another one. */
const tokenShape = /^[\x21-\x7e]+$/;
const codeShape = /^[A-Za-z0-9_.:-]{1,64}$/;
/** Longest life that is believed, in seconds: ten years. */
const longestLife = 10 * 366 * 86_400;

/** Reads the answer of a token endpoint (RFC 6749, 5.1 and 5.2). */
export function readTokenAnswer(status: number, text: string): TokenResult {
  const answer = parse(text);
  // Some servers tell an error with status 200.
  if (answer?.error !== undefined) return readError(answer);
  if (status !== 200 && status !== 201) return { failed: `status_${status}` };
  if (answer === undefined) return bad("is no JSON object");
  const { access_token: access, refresh_token: refresh, token_type: type } = answer;
  if (!isToken(access)) return bad("has no usable access_token");
  if (type !== undefined && !/^bearer$/i.test(String(type))) return bad("is for no bearer token");
  const hasRefresh = refresh !== undefined && refresh !== null && refresh !== "";
  if (hasRefresh && !isToken(refresh)) return bad("has a refresh_token that can't be one");
  return {
    accessToken: new Secret(access),
    refreshToken: hasRefresh ? new Secret(refresh) : undefined,
    expiresInSeconds: readSeconds(answer.expires_in),
  };
}

/** A whole object, or undefined. */
export function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** A positive number of seconds, also where it comes as digits in a string. */
export function readSeconds(value: unknown): number | undefined {
  const isText = typeof value === "string" && /^\d{1,12}$/.test(value);
  const seconds = isText ? Number(value) : value;
  if (typeof seconds !== "number" || !(seconds > 0)) return undefined;
  return Math.min(seconds, longestLife);
}

function isToken(value: unknown): value is string {
  return typeof value === "string" && value.length <= mostTokenCharacters && tokenShape.test(value);
}

function bad(what: string): TokenFailure {
  return { failed: "bad_answer", detail: `the answer ${what}` };
}

function readError({ error, error_description: words }: Readonly<Record<string, unknown>>) {
  const failed = typeof error === "string" && codeShape.test(error) ? error : "unknown_error";
  // Words of a stranger: short, and the log masks what looks like a secret.
  return typeof words === "string" ? { failed, detail: words.slice(0, 200) } : { failed };
}
