import type { OauthFile } from "../kit/credential-file.ts";
import { Secret } from "../kit/secret.ts";
import type { NewTokens, RefreshClient, StoredTokens } from "./refresh-origin.ts";

/**
 * What a file of type `oauth` says of its tokens.
 * @param configured the client of the provider's configuration: used only where the file names
 *   none, since a file with an address of its own must not be given another client's secret
 */
export function toStoredTokens(
  file: OauthFile,
  configured: RefreshClient | undefined,
): StoredTokens {
  const { access_token: access, expires_at: expiresAt, refresh_token: refresh } = file;
  return {
    access:
      access === undefined
        ? undefined
        : {
            secret: new Secret(access),
            expiresAtMs: expiresAt === undefined ? undefined : Date.parse(expiresAt),
          },
    refreshToken: refresh === undefined ? undefined : new Secret(refresh),
    by: namesClient(file) ? ownClient(file) : configured,
  };
}

function namesClient({ token_url: url, client_id: id, client_secret: secret }: OauthFile): boolean {
  return url !== undefined || id !== undefined || secret !== undefined;
}

/** Undefined: it says too little. */
function ownClient(file: OauthFile): RefreshClient | undefined {
  const { token_url: tokenUrl, client_id: clientId, client_secret: secret, scopes = [] } = file;
  if (tokenUrl === undefined || clientId === undefined) return undefined;
  const usual = secret === undefined ? "none" : "client_secret_basic";
  const method = file.auth_method ?? usual;
  const clientSecret = secret === undefined ? undefined : new Secret(secret);
  return { tokenUrl, client: { clientId, clientSecret, method }, scopes };
}

/** The content of a file with other tokens; all else in it stays. */
export function withTokens(file: OauthFile, { access, refreshToken }: NewTokens): OauthFile {
  const { expires_at: _old, ...rest } = file;
  const { expiresAtMs, secret } = access;
  return {
    ...rest,
    access_token: secret.expose(),
    ...(refreshToken !== undefined && { refresh_token: refreshToken.expose() }),
    ...(expiresAtMs !== undefined && { expires_at: new Date(expiresAtMs).toISOString() }),
  };
}

/** The content of a new file, from what a login gave. */
export function toOauthFile(
  { access, refreshToken }: NewTokens,
  by: RefreshClient | undefined,
): OauthFile {
  const client = by && {
    token_url: by.tokenUrl,
    client_id: by.client.clientId,
    ...(by.client.clientSecret !== undefined && { client_secret: by.client.clientSecret.expose() }),
    ...(by.scopes.length > 0 && { scopes: [...by.scopes] }),
    auth_method: by.client.method,
  };
  const file: OauthFile = { type: "oauth", priority: 0, disabled: false, ...client };
  return withTokens(file, { access, refreshToken });
}
