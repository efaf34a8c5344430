import type { Level, Rate } from "./bucket.ts";

/** Response fields by name, to be set in addition to those that are there. */
type Fields = Readonly<Record<string, string>>;

/**
 * The fields by which clients pace themselves (draft-ietf-httpapi-ratelimit-headers): what one
 * policy allows, and what is left of it. Several policies stand in one list (RFC 9651, 3.1).
 */
export class RateFields {
  readonly #name: string;
  readonly #policy: string;

  /** @param name of the policy: letters, digits and dashes */
  constructor(name: string, { perSecond, burst }: Rate) {
    this.#name = `"${name}"`;
    // The window in which as many may come as in a burst.
    this.#policy = `${this.#name};q=${burst};w=${Math.max(1, Math.ceil(burst / perSecond))}`;
  }

  /**
   * @param present fields that the response has already
   * @returns the values to set: `t` is the time until the next request passes where none is left,
   *   else until nothing is in use, in seconds
   */
  of(level: Level, present: Fields): Fields {
    const ms = level.left === 0 ? level.waitMs : level.fullInMs;
    const own = `${this.#name};r=${level.left};t=${Math.ceil(ms / 1000)}`;
    return {
      "ratelimit-policy": joined(present["ratelimit-policy"], this.#policy),
      ratelimit: joined(present.ratelimit, own),
    };
  }
}

function joined(before: string | undefined, own: string): string {
  return before === undefined ? own : `${before}, ${own}`;
}

/** Whole seconds after which a refused request is admitted, if nobody takes its place. */
export function retryAfterSeconds({ waitMs }: Level): number {
  return Math.max(1, Math.ceil(waitMs / 1000));
}
