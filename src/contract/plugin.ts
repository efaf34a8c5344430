import type { ErrorCode } from "./errors.ts";
import type { CallFacts } from "./policy.ts";
import type { Translation } from "./translation.ts";
import type { Surface, Usage } from "./types.ts";

/** A route that clients of a dialect call. */
export interface DialectRoute {
  readonly method: "GET" | "POST";
  /** Hono pattern; a parameter is named `target`, e.g. `/v1/models/:target{.+}`. */
  readonly path: string;
  readonly surface: Surface;
}

/** One wire protocol: reads what passes, shapes what we say ourselves. */
export interface Dialect {
  readonly name: string;
  readonly routes: readonly DialectRoute[];
  /** Whether a request on a path that dialects share is one of ours; asked in order of names. */
  recognises(header: (name: string) => string | null): boolean;
  /** Top-level keys of a body whose values are facts. */
  readonly factKeys: readonly string[];
  /** Those whose strings are text for a model: they may hold any character. */
  readonly textKeys?: readonly string[];
  /**
   * Reads a call from the facts of its body.
   * @param fact value of a fact key: decoded scalar, undefined when absent, a symbol for an object
   *   or array
   * @param bodyBytes size of the body, for the call
   * @param route the route it came by
   * @param raw bytes of a fact key's value as they stand in the body, undefined when absent
   * @returns the call, or a sentence that says what is wrong and how to mend it
   */
  readCall(
    fact: (key: string) => FactValue,
    bodyBytes: number,
    route: CalledRoute,
    raw: (key: string) => Uint8Array | undefined,
  ): CallFacts | string;
  /**
   * The body with another model's name in all the places that hold one; absent: only the value of
   * the top-level `model` does.
   */
  rename?(body: Uint8Array, model: string): Uint8Array;
  /**
   * Why a path of the vendor's API that is no route of ours can't be one, as a sentence that says
   * what to do instead; undefined: it is none of the vendor's.
   */
  unserved?(path: string): string | undefined;
  /** How its conversations are translated; absent: it is only passed through. */
  readonly translation?: Translation;
  /** Body of a count of tokens, where the API has such; absent: nobody asks for it. */
  count?(tokens: number): string;
  /** Body of an error, as the vendor's own API shapes it. */
  error(problem: Problem): string;
  /** Usage of a whole JSON reply; undefined when it reports none. */
  readUsage(reply: Uint8Array): Usage | undefined;
  /** A reader for one reply that is an event stream. */
  readStream(): StreamReader;
  /** A reader for one streamed reply that is plain JSON, in a dialect that has such. */
  readJsonStream?(): StreamReader;
  /** Body of the model list. */
  listModels(models: readonly ModelEntry[]): string;
  /** Body of one model. */
  oneModel(model: ModelEntry): string;
}

/** What the route of a call says about it. */
export interface CalledRoute {
  readonly surface: Surface;
  /** The decoded parameter of the route's path, undefined where it has none. */
  readonly target: string | undefined;
}

export type FactValue = string | number | boolean | null | undefined | symbol;

/** Watches a stream go by, at any byte split; keeps at most one unfinished event or element. */
export interface StreamReader {
  push(chunk: Uint8Array): void;
  /** Call once, after the last chunk. */
  end(): "complete" | "truncated" | "error";
  /**
   * Text to append to what went by, so that no client takes it for complete; undefined: only a cut
   * connection can say so.
   */
  fail(problem: Problem): string | undefined;
  /** What the provider has reported so far. */
  readonly usage: Usage | undefined;
}

/** What goes wrong, for a dialect to word. */
export interface Problem {
  readonly code: ErrorCode;
  readonly status: number;
  readonly message: string;
  readonly requestId: string;
  /** Whole seconds after which another try makes sense. */
  readonly retryAfterSeconds?: number;
}

/** A model that clients may name. */
export interface ModelEntry {
  readonly id: string;
  readonly provider: string;
  /** Seconds since the epoch; 0 when unknown. */
  readonly created: number;
}

/** A key that a vendor has made, or an access token of OAuth 2.0 (RFC 6750). */
export type CredentialKind = "api_key" | "bearer";

/** A kind of provider: where it is, what it speaks, how a credential is attached. */
export interface Provider {
  /** Value of `providers.<name>.protocol`. */
  readonly protocol: string;
  /** One sentence for docs. */
  readonly summary: string;
  /** Dialects it speaks, its own first. */
  readonly dialects: readonly string[];
  /** Undefined: `base_url` is required. */
  readonly baseUrl: string | undefined;
  /** Path segment added when `base_url` has no version, e.g. `v1`. */
  readonly version: string;
  /** Whether an attempt without a credential makes sense. */
  readonly credential: "required" | "optional" | "none";
  /**
   * Path below the version, with its leading slash.
   * @param verb of the call, where its dialect has one
   */
  path(surface: Surface, model: string, verb?: string): string;
  /** What of the client's query goes up, credentials left out before; absent: all of it. */
  query?(query: string): string;
  /**
   * Sets the headers that carry the credential.
   * @param kind a vendor may take its own keys in another header than access tokens
   */
  authorize(headers: Record<string, string>, secret: string, kind: CredentialKind): void;
  /** Whether an error is about the credential although its status is neither 401 nor 403. */
  refusesCredential?(status: number, body: string): boolean;
  /** Headers that a request needs even if the client did not send them. */
  readonly defaultHeaders: Readonly<Record<string, string>>;
  /** Model ids in the body of the provider's own list. */
  readModels(list: unknown): readonly string[];
  /** Answers in process instead of upstream. */
  answer?(request: LocalRequest): Response | Promise<Response>;
}

/** What a provider in process is asked. */
export interface LocalRequest {
  readonly dialect: string;
  readonly surface: Surface;
  readonly model: string;
  /** The verb of the call, where its dialect has one. */
  readonly verb: string | undefined;
  readonly stream: boolean;
  /** The client's query with its `?`, or an empty string. */
  readonly query: string;
  /** Good until the answer is given: its memory may be taken back afterwards. */
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}
