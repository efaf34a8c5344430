import type { SecurityEvent } from "../contract/policy.ts";
import type { Clock } from "../contract/types.ts";
import type { AuthStore } from "../kit/auth-store.ts";
import type { ServiceAccountFile } from "../kit/credential-file.ts";
import type { StoredCredential } from "../kit/credential-reading.ts";
import { Secret } from "../kit/secret.ts";
import type { TokenSource } from "../providers.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type RefreshClient, refreshOrigin } from "./refresh-origin.ts";
import { type ServiceAccount, serviceAccountOrigin } from "./service-account.ts";
import { toStoredTokens } from "./stored-tokens.ts";
import { createPost } from "./token-endpoint.ts";
import { tokenFile } from "./token-file.ts";
import type { TokenKeepers, TokenPlan } from "./token-keepers.ts";

/** What a service account may do unless its file says less. */
const cloudScope = "https://www.googleapis.com/auth/cloud-platform";

/** What a provider's configuration adds to its files. */
export interface ProviderClient {
  readonly client: RefreshClient | undefined;
  readonly allowInsecure: boolean;
}

/** Takes in what was read of files; nothing begins before all of it serves. */
export interface TokenDesk {
  /**
   * The tokens of a credential of type `oauth` or `service_account`.
   * @returns undefined: its type has none
   */
  open(stored: StoredCredential): TokenSource | undefined;
  /** Sentences about credentials that can't be refreshed. */
  readonly warnings: readonly string[];
  /** The configuration serves: keeps the tokens of what was taken in, and of nothing else. */
  adopt(emit: (event: SecurityEvent) => void): void;
}

export interface DeskParts {
  readonly keepers: TokenKeepers;
  readonly store: AuthStore;
  readonly clock: Clock;
  readonly runtime: Pick<Runtime, "openPool">;
  clientOf(provider: string): ProviderClient;
}

export function openDesk(parts: DeskParts): TokenDesk {
  const { keepers, store, clock, runtime, clientOf } = parts;
  const plans: TokenPlan[] = [];
  const warnings: string[] = [];
  return {
    warnings,
    open(stored) {
      const { content, provider, id, path, file } = stored;
      if (content.type === "api_key") return undefined;
      const { client, allowInsecure } = clientOf(provider);
      const post = createPost(runtime, allowInsecure);
      const name = file.slice(0, -".json".length);
      if (content.type === "service_account") {
        const origin = serviceAccountOrigin(toAccount(content), post, clock);
        plans.push({ provider, id: name, origin, token: undefined });
      } else {
        const tokens = toStoredTokens(content, client);
        if (tokens.refreshToken === undefined || tokens.by === undefined) {
          const what = tokens.refreshToken === undefined ? "refresh_token" : "token_url, client_id";
          warnings.push(
            `${path}: can't be refreshed without ${what}: add them, or log in again by ` +
              `\`cliproxy auths login ${provider}\``,
          );
        }
        const origin = refreshOrigin(tokenFile(store, provider, id, client), tokens, post, clock);
        plans.push({ provider, id: name, origin, token: tokens.access });
      }
      return keepers.source(name);
    },
    adopt: (emit) => keepers.adopt(plans, emit),
  };
}

function toAccount(file: ServiceAccountFile): ServiceAccount {
  return {
    clientEmail: file.client_email,
    privateKey: new Secret(file.private_key),
    privateKeyId: file.private_key_id,
    tokenUrl: file.token_uri,
    scopes: file.scopes ?? [cloudScope],
  };
}
