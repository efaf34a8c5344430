/** What a route is for: the unit of a policy's coverage. */
export const surfaces = [
  "chat",
  "completions",
  "responses",
  "messages",
  "count_tokens",
  "gemini",
  "embeddings",
  "models",
] as const;
/**
 * `other`: a path that is not on the map; policies see it, and it is refused. `admin`: the
 * management API, seen only by policies that cover it.
 */
export type Surface = (typeof surfaces)[number] | "other" | "admin";

/** Tokens of one reply as the provider counts them. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Read from the provider's prompt cache; part of `inputTokens` or not, as its dialect says. */
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
}

/** What is there at once, or comes later: only then is it worth a promise. */
export type MaybePromise<T> = T | Promise<T>;

/** The only clock: tests turn it by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds that never step back. */
  mono(): number;
}

/** Operational log; fields whose names or values look like secrets are masked. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log under another name. */
  child(name: string): Logger;
}
export type LogFields = Readonly<Record<string, unknown>>;
