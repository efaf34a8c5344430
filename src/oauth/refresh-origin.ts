import type { Clock } from "../contract/types.ts";
import { digestOf } from "../kit/digest.ts";
import type { Secret } from "../kit/secret.ts";
import { askTokens } from "./ask-tokens.ts";
import { type OAuthClient, refreshRequest } from "./grant.ts";
import type { TokenFailure, Tokens } from "./token-answer.ts";
import type { Post } from "./token-endpoint.ts";
import type { AccessToken, Renewal, TokenOrigin } from "./token-keeper.ts";

/** By what tokens are refreshed: one set, never mixed, or a file could send a secret elsewhere. */
export interface RefreshClient {
  readonly tokenUrl: string;
  readonly client: OAuthClient;
  readonly scopes: readonly string[];
}

/** What the file of a credential holds of tokens. */
export interface StoredTokens {
  readonly access: AccessToken | undefined;
  readonly refreshToken: Secret | undefined;
  /** Undefined: neither the file nor the provider's configuration names a client. */
  readonly by: RefreshClient | undefined;
}

/** The file of one credential, as a refresh needs it. */
export interface TokenFile {
  /**
   * Lets one process at a time refresh this credential.
   * @returns undefined when another one would not let go in time
   */
  alone(work: () => Promise<Renewal>): Promise<Renewal | undefined>;
  /** What it holds now; undefined: it is gone, disabled or broken. */
  read(): StoredTokens | undefined;
  /**
   * Replaces the tokens; on disk, flushed, when it returns.
   * @param used the refresh token that must still be in it
   * @returns false when the file holds another one, or is gone
   * @throws when it can't be written
   */
  write(used: Secret, next: NewTokens): Promise<boolean>;
}

export interface NewTokens {
  readonly access: AccessToken;
  /** Undefined: the old one stays. */
  readonly refreshToken: Secret | undefined;
}

/** Less life than that is no reason to take over another process's token, in milliseconds. */
const leastLifeMs = 5000;

/** Tokens by a refresh token (RFC 6749, 6), kept in the credential's own file. */
export function refreshOrigin(
  file: TokenFile,
  stored: StoredTokens,
  post: Post,
  clock: Clock,
): TokenOrigin {
  /** Got, but not on disk yet. */
  let unwritten: { readonly used: Secret; readonly next: NewTokens } | undefined;

  const keep = async (used: Secret, next: NewTokens): Promise<Renewal> => {
    const rotated = next.refreshToken !== undefined && next.refreshToken.expose() !== used.expose();
    try {
      // First on disk, then in use: who dies in between must find the new refresh token.
      const isWritten = await file.write(used, next);
      unwritten = undefined;
      return isWritten ? { token: next.access, rotated } : { failed: "file_changed" };
    } catch (error) {
      const code = String((error as { code?: unknown }).code ?? "unknown error");
      const detail = `the credential's file can't be written: ${code}`;
      if (!rotated) return { token: next.access, warning: detail };
      unwritten = { used, next };
      return { failed: "not_written", detail };
    }
  };

  const renewAlone = async (known: Secret | undefined): Promise<Renewal> => {
    const now = file.read();
    if (now === undefined) return { failed: "file_gone" };
    const { access, refreshToken, by } = now;
    if (unwritten !== undefined && same(unwritten.used, refreshToken)) {
      return keep(unwritten.used, unwritten.next);
    }
    const leftMs = (access?.expiresAtMs ?? Number.POSITIVE_INFINITY) - clock.now();
    if (access !== undefined && !same(access.secret, known) && leftMs > leastLifeMs) {
      return { token: access, found: true };
    }
    if (refreshToken === undefined) return { failed: "no_refresh_token", isFinal: true };
    if (by === undefined) return { failed: "no_client", isFinal: true };
    const request = refreshRequest(by.tokenUrl, by.client, refreshToken.expose(), by.scopes);
    const askedAtMs = clock.now();
    const result = await askTokens(post, request);
    if ("failed" in result) return judge(result, refreshToken);
    return keep(refreshToken, toNext(result, askedAtMs));
  };

  /** A token that was replaced meanwhile says nothing about the one that is there now. */
  const judge = (failure: TokenFailure, used: Secret): Renewal => {
    if (failure.failed !== "invalid_grant") return failure;
    return { ...failure, isFinal: same(used, file.read()?.refreshToken) };
  };

  return {
    fingerprint: fingerprintOf(stored),
    renew: async (known) => (await file.alone(() => renewAlone(known))) ?? { failed: "locked" },
  };
}

/** From the moment of asking: the answer may have been long on its way. */
function toNext({ accessToken, refreshToken, expiresInSeconds }: Tokens, askedAtMs: number) {
  const expiresAtMs =
    expiresInSeconds === undefined ? undefined : askedAtMs + expiresInSeconds * 1000;
  return { access: { secret: accessToken, expiresAtMs }, refreshToken } satisfies NewTokens;
}

function same(a: Secret | undefined, b: Secret | undefined): boolean {
  return a?.expose() === b?.expose();
}

function fingerprintOf({ refreshToken, by }: StoredTokens): string {
  const { tokenUrl, client, scopes = [] } = by ?? {};
  const who = [client?.clientId, client?.clientSecret?.expose(), client?.method];
  return digestOf([refreshToken?.expose(), tokenUrl, scopes, who]);
}
