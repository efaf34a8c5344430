import type { GenericSchema } from "valibot";
import type { ErrorCode } from "./errors.ts";
import type { Deny, Exchange } from "./policy.ts";

/** One operation below `/v0/management`; the OpenAPI document is made of these. */
export interface AdminOperation {
  /** Unique, camelCase; the handler is found by it. */
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With `{name}` for a parameter, such as `/auths/{provider}`. */
  readonly path: string;
  /** One sentence. */
  readonly summary: string;
  /** Of the JSON body; absent: the operation takes none. */
  readonly body?: GenericSchema;
  /** Of the query's parameters; absent: it takes none. */
  readonly query?: GenericSchema;
  /** Status of success. */
  readonly status: number;
  /** Of the answer; absent: it has none. */
  readonly reply?: GenericSchema;
  /** What it may refuse beside what every operation may. */
  readonly refusals: readonly ErrorCode[];
}

/** A request to the management API whose caller, body and query have been checked. */
export interface AdminCall {
  readonly x: Exchange;
  readonly params: Readonly<Record<string, string>>;
  /** Output of the operation's schemas. */
  readonly body: unknown;
  readonly query: unknown;
  /**
   * Compares `If-Match` with the version that a resource has now (RFC 9110, 13.1.1).
   * @returns a refusal if the client meant another version, else undefined
   */
  mismatch(version: string): Deny | undefined;
}

export interface AdminReply {
  /** Undefined where the operation has no answer; never holds a secret. */
  readonly body?: unknown;
  /** Sent as `ETag`. */
  readonly version?: string;
  /** What a write changed, for the audit; only digests of `before` and `after` are kept. */
  readonly change?: { readonly what: string; readonly before: unknown; readonly after: unknown };
}

export type AdminHandler = (call: AdminCall) => AdminReply | Deny | Promise<AdminReply | Deny>;
