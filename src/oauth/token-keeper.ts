import type { Clock, Logger } from "../contract/types.ts";
import type { Secret } from "../kit/secret.ts";
import { backOffMs, refreshAheadMs } from "./timing.ts";
import type { TokenFailure } from "./token-answer.ts";

/** A token that a provider takes, until it expires. */
export interface AccessToken {
  readonly secret: Secret;
  /** Milliseconds since the epoch; undefined: nobody has told. */
  readonly expiresAtMs: number | undefined;
}

/** What came of asking for a new token. */
export type Renewal =
  | {
      readonly token: AccessToken;
      /** Another process has got it, and told of it. */
      readonly found?: boolean;
      /** The refresh token was replaced, too. */
      readonly rotated?: boolean;
      /** What did not work although there is a token. */
      readonly warning?: string;
    }
  | (TokenFailure & {
      /** Asking again is of no use until the credential's file changes. */
      readonly isFinal?: boolean;
    });

/** Where the tokens of one credential come from. */
export interface TokenOrigin {
  /** Equal for two origins that would ask for the same thing. */
  readonly fingerprint: string;
  /** @param known the token that is no longer good, or soon will be no longer; must not throw */
  renew(known: Secret | undefined): Promise<Renewal>;
}

/** What a keeper needs of its house. */
export interface KeeperHouse {
  readonly clock: Clock;
  readonly log: Logger;
  /** From 0 to 1. */
  random(): number;
  /** Told once for each refresh that this process has tried. */
  refreshed(keeper: TokenKeeper, told: RefreshNote): void;
}

export interface RefreshNote {
  readonly result: "success" | "failure";
  /** Of a failure. */
  readonly reason?: string;
  readonly rotated?: boolean;
  readonly expiresInSeconds?: number;
}

/** A token that was got so shortly before is not renewed because of a 401, in milliseconds. */
const freshMs = 30_000;

/**
 * Keeps one credential's access token good: refreshes it ahead of its expiry, one refresh at a
 * time, waits longer after each failure, and gives up when the server says that the grant is over.
 */
export class TokenKeeper {
  readonly provider: string;
  readonly id: string;
  readonly #house: KeeperHouse;
  #origin: TokenOrigin;
  #token: AccessToken | undefined;
  /** On the monotonic clock: a wall clock that is set back must not keep a dead token alive. */
  #expiresMonoMs = Number.POSITIVE_INFINITY;
  #aheadMs = 0;
  #gotMonoMs = Number.NEGATIVE_INFINITY;
  #running: Promise<boolean> | undefined;
  #failures = 0;
  #retryMonoMs = Number.NEGATIVE_INFINITY;
  #isOver = false;
  #lastError: string | undefined;

  constructor(
    provider: string,
    id: string,
    house: KeeperHouse,
    origin: TokenOrigin,
    token: AccessToken | undefined,
  ) {
    this.provider = provider;
    this.id = id;
    this.#house = house;
    this.#origin = origin;
    this.#hold(token);
  }

  /** The token, if it is good now: no promise on the hot path. */
  current(): Secret | undefined {
    const token = this.#token;
    return token === undefined || this.#leftMs() <= 0 ? undefined : token.secret;
  }

  /** A good token; waits for the refresh that runs, or begins one. Undefined: there is none now. */
  async acquire(): Promise<Secret | undefined> {
    const now = this.current();
    if (now !== undefined) return now;
    await this.#refresh();
    return this.current();
  }

  /**
   * The provider has refused a token with 401 although it looked good.
   * @returns whether there is another one, with which a second try makes sense
   */
  async renew(refused: Secret): Promise<boolean> {
    if (this.#running === undefined) {
      const isKnown = this.#token?.secret.expose() === refused.expose();
      if (!isKnown) return this.current() !== undefined;
      // A token that is refused although it is new would be renewed for ever.
      if (this.#house.clock.mono() - this.#gotMonoMs < freshMs) return false;
    }
    await this.#refresh();
    const now = this.current();
    return now !== undefined && now.expose() !== refused.expose();
  }

  /** Refreshes ahead of expiry; called every second or so. */
  tick(): void {
    if (this.#token === undefined || this.#leftMs() <= this.#aheadMs) void this.#refresh();
  }

  /** The file has been read again: by an edit, by another process, or after our own write. */
  adopt(origin: TokenOrigin, token: AccessToken | undefined): void {
    const isOther = origin.fingerprint !== this.#origin.fingerprint;
    const isNew = token?.secret.expose() !== this.#token?.secret.expose();
    if (isOther) {
      this.#origin = origin;
      this.#isOver = false;
      this.#failures = 0;
      this.#retryMonoMs = Number.NEGATIVE_INFINITY;
      this.#lastError = undefined;
    }
    // An origin without a file brings no token: what it has given before stays good.
    if (isNew && (token !== undefined || isOther)) this.#hold(token);
  }

  get expiresAtMs(): number | undefined {
    return this.#token?.expiresAtMs;
  }

  /** Code of the last failure; undefined since a success. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** The server has ended the grant: only another file can mend that. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Milliseconds until asking again makes sense; 0: now. */
  get waitMs(): number {
    return Math.max(0, this.#retryMonoMs - this.#house.clock.mono());
  }

  /** How long the token is good, by the clock that says less. */
  #leftMs(): number {
    const { clock } = this.#house;
    const expiresAtMs = this.#token?.expiresAtMs ?? Number.POSITIVE_INFINITY;
    return Math.min(expiresAtMs - clock.now(), this.#expiresMonoMs - clock.mono());
  }

  #hold(token: AccessToken | undefined): void {
    const { clock, random } = this.#house;
    this.#token = token;
    this.#expiresMonoMs = Number.POSITIVE_INFINITY;
    this.#aheadMs = Number.NEGATIVE_INFINITY;
    if (token?.expiresAtMs === undefined) return;
    const lifeMs = token.expiresAtMs - clock.now();
    this.#expiresMonoMs = clock.mono() + lifeMs;
    this.#aheadMs = refreshAheadMs(lifeMs, random());
  }

  #refresh(): Promise<boolean> {
    if (this.#running !== undefined) return this.#running;
    if (this.#isOver || this.waitMs > 0) return Promise.resolve(false);
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<boolean> {
    const origin = this.#origin;
    const renewal = await origin.renew(this.#token?.secret).catch((error: unknown) => {
      this.#house.log.error("refresh broke", { provider: this.provider, id: this.id, error });
      return { failed: "internal" };
    });
    // The file has changed meanwhile: what was asked for is another credential's.
    if (origin.fingerprint !== this.#origin.fingerprint && "failed" in renewal) return false;
    if ("failed" in renewal) return this.#fail(renewal);
    const { token, found, rotated = false, warning } = renewal;
    if (warning !== undefined) {
      this.#house.log.warn(warning, { provider: this.provider, id: this.id });
    }
    this.#hold(token);
    this.#gotMonoMs = this.#house.clock.mono();
    this.#failures = 0;
    this.#retryMonoMs = Number.NEGATIVE_INFINITY;
    this.#lastError = undefined;
    if (found !== true) {
      const seconds = expiresIn(token, this.#house.clock);
      this.#house.refreshed(this, {
        result: "success",
        rotated,
        ...(seconds !== undefined && { expiresInSeconds: seconds }),
      });
    }
    return true;
  }

  #fail({
    failed,
    detail,
    retryAfterSeconds = 0,
    isFinal = false,
  }: TokenFailure & { isFinal?: boolean }): boolean {
    const { clock, log, random } = this.#house;
    this.#failures += 1;
    this.#lastError = failed;
    this.#isOver = isFinal;
    const waitMs = Math.max(backOffMs(this.#failures, random()), retryAfterSeconds * 1000);
    this.#retryMonoMs = clock.mono() + waitMs;
    const fields = { provider: this.provider, id: this.id, reason: failed, detail };
    if (isFinal) {
      log.error(
        "credential is disabled until its file changes: log in again, or replace it",
        fields,
      );
    } else {
      log.warn("token was not refreshed", { ...fields, retryInMs: Math.round(waitMs) });
    }
    this.#house.refreshed(this, { result: "failure", reason: failed });
    return false;
  }
}

function expiresIn({ expiresAtMs }: AccessToken, clock: Clock): number | undefined {
  if (expiresAtMs === undefined) return undefined;
  return Math.max(0, Math.round((expiresAtMs - clock.now()) / 1000));
}
