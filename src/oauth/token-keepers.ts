import type { Gauge, SecurityEvent } from "../contract/policy.ts";
import type { Clock, Logger } from "../contract/types.ts";
import type { TokenSource } from "../providers.ts";
import {
  type AccessToken,
  type KeeperHouse,
  type RefreshNote,
  TokenKeeper,
  type TokenOrigin,
} from "./token-keeper.ts";

/** A credential whose token has to be kept good. */
export interface TokenPlan {
  readonly provider: string;
  /** Of the credential, unique in the house. */
  readonly id: string;
  readonly origin: TokenOrigin;
  readonly token: AccessToken | undefined;
}

/** How often keepers look at their clocks, in milliseconds. */
const tickMs = 1000;

/** The keepers of the process: they outlive configurations, whose credentials only point here. */
export class TokenKeepers {
  readonly #keepers = new Map<string, TokenKeeper>();
  readonly #house: KeeperHouse;
  readonly #clock: Clock;
  #emit: (event: SecurityEvent) => void = () => {};
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#house = {
      clock,
      log: log.child("oauth"),
      random: () => Math.random(),
      refreshed: (keeper, note) => this.#emit(toEvent(keeper, note)),
    };
  }

  /** What a credential points to; it has no token before its plan is adopted, nor after its end. */
  source(id: string): TokenSource {
    const find = (): TokenKeeper | undefined => this.#keepers.get(id);
    return {
      current: () => find()?.current(),
      acquire: async () => find()?.acquire(),
      renew: async (refused) => (await find()?.renew(refused)) ?? false,
      get waitMs() {
        return find()?.waitMs ?? 0;
      },
    };
  }

  get(id: string): TokenKeeper | undefined {
    return this.#keepers.get(id);
  }

  /** Keeps these from now on, and no others; what is known of those that stay is kept. */
  adopt(plans: readonly TokenPlan[], emit: (event: SecurityEvent) => void): void {
    this.#emit = emit;
    const ids = new Set(plans.map(({ id }) => id));
    for (const id of this.#keepers.keys()) if (!ids.has(id)) this.#keepers.delete(id);
    for (const { provider, id, origin, token } of plans) {
      const known = this.#keepers.get(id);
      if (known?.provider === provider) known.adopt(origin, token);
      else this.#keepers.set(id, new TokenKeeper(provider, id, this.#house, origin, token));
    }
    if (this.#keepers.size === 0) this.close();
    else this.#timer ??= setInterval(() => this.tick(), tickMs);
  }

  /** The timer calls it, and tests do. */
  tick(): void {
    for (const keeper of this.#keepers.values()) keeper.tick();
  }

  /** No refresh begins by itself any more. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  get gauges(): readonly Gauge[] {
    return [
      {
        name: "cliproxy_token_expires_in_seconds",
        help: "Life that access tokens have left; below 0: expired.",
        labels: ["provider", "credential"],
        read: (set) => {
          for (const { provider, id, expiresAtMs } of this.#keepers.values()) {
            if (expiresAtMs !== undefined) {
              set(Math.round((expiresAtMs - this.#clock.now()) / 1000), provider, id);
            }
          }
        },
      },
      {
        name: "cliproxy_token_refresh_failing",
        help: "1: the last refresh failed; 2: its grant is over, and only a new login helps.",
        labels: ["provider", "credential"],
        read: (set) => {
          for (const { provider, id, lastError, isOver } of this.#keepers.values()) {
            set(isOver ? 2 : Number(lastError !== undefined), provider, id);
          }
        },
      },
    ];
  }
}

function toEvent({ provider, id }: TokenKeeper, note: RefreshNote): SecurityEvent {
  const { result, reason, rotated, expiresInSeconds } = note;
  return {
    type: "token_refresh",
    result,
    provider,
    details: {
      credential_id: id,
      ...(reason !== undefined && { reason }),
      ...(rotated !== undefined && { rotated }),
      ...(expiresInSeconds !== undefined && { expires_in: expiresInSeconds }),
    },
  };
}
