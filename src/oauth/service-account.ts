import { importPKCS8, SignJWT } from "jose";
import type { Clock } from "../contract/types.ts";
import { digestOf } from "../kit/digest.ts";
import type { Secret } from "../kit/secret.ts";
import { askTokens } from "./ask-tokens.ts";
import { assertionRequest } from "./grant.ts";
import type { Post } from "./token-endpoint.ts";
import type { Renewal, TokenOrigin } from "./token-keeper.ts";

/** What a service account needs to sign for itself. */
export interface ServiceAccount {
  readonly clientEmail: string;
  readonly privateKey: Secret;
  readonly privateKeyId: string | undefined;
  readonly tokenUrl: string;
  readonly scopes: readonly string[];
}

/** Life of an assertion, in seconds: it is used once, at once. */
const assertionSeconds = 300;
/** Clocks differ: an assertion from the future is refused, in seconds. */
const skewSeconds = 10;

/** Tokens by an assertion that the account's own key signs (RFC 7523); nothing is kept on disk. */
export function serviceAccountOrigin(
  account: ServiceAccount,
  post: Post,
  clock: Clock,
): TokenOrigin {
  const { clientEmail, privateKey, privateKeyId, tokenUrl, scopes } = account;
  return {
    fingerprint: digestOf([clientEmail, privateKey.expose(), privateKeyId, tokenUrl, scopes]),
    async renew(): Promise<Renewal> {
      const nowMs = clock.now();
      let assertion: string;
      try {
        assertion = await sign(account, Math.floor(nowMs / 1000));
      } catch {
        // Its message could quote the key.
        return { failed: "bad_private_key", isFinal: true };
      }
      const result = await askTokens(post, assertionRequest(tokenUrl, assertion));
      if ("failed" in result) {
        // Of an assertion this is no verdict for ever: a wrong clock or a late start does it, too.
        const isGrant = result.failed === "invalid_grant";
        return isGrant
          ? { ...result, detail: `${result.detail ?? ""} (is the clock right?)` }
          : result;
      }
      const { accessToken, expiresInSeconds } = result;
      const lifeMs = expiresInSeconds === undefined ? undefined : expiresInSeconds * 1000;
      return {
        token: {
          secret: accessToken,
          expiresAtMs: lifeMs === undefined ? undefined : nowMs + lifeMs,
        },
      };
    },
  };
}

/** The assertion as Google documents it: `sub` would ask for another user's rights. */
export async function sign(account: ServiceAccount, nowSeconds: number): Promise<string> {
  const key = await importPKCS8(account.privateKey.expose(), "RS256");
  const header = {
    alg: "RS256",
    typ: "JWT",
    ...(account.privateKeyId !== undefined && { kid: account.privateKeyId }),
  };
  const claims = account.scopes.length === 0 ? {} : { scope: account.scopes.join(" ") };
  return new SignJWT(claims)
    .setProtectedHeader(header)
    .setIssuer(account.clientEmail)
    .setAudience(account.tokenUrl)
    .setIssuedAt(nowSeconds - skewSeconds)
    .setExpirationTime(nowSeconds + assertionSeconds)
    .sign(key);
}
