import { Buffer } from "node:buffer";
import type { Secret } from "../kit/secret.ts";

/** How a client proves who it is (RFC 6749, 2.3.1); `none` is a public client. */
export const clientAuthMethods = ["client_secret_basic", "client_secret_post", "none"] as const;
export type ClientAuthMethod = (typeof clientAuthMethods)[number];

/** A client that the user has registered with an authorization server. */
export interface OAuthClient {
  readonly clientId: string;
  readonly clientSecret: Secret | undefined;
  readonly method: ClientAuthMethod;
}

/** What is posted to a token endpoint. */
export interface TokenRequest {
  readonly url: string;
  /** Undefined: the grant itself proves who asks. */
  readonly client: OAuthClient | undefined;
  readonly form: Readonly<Record<string, string>>;
}

/** Asks for new tokens by a refresh token (RFC 6749, 6). */
export function refreshRequest(
  url: string,
  client: OAuthClient,
  refreshToken: string,
  scopes: readonly string[],
): TokenRequest {
  const form = { grant_type: "refresh_token", refresh_token: refreshToken, ...scopeOf(scopes) };
  return { url, client, form };
}

/** Asks for a token by a signed assertion (RFC 7523, 2.1). */
export function assertionRequest(url: string, assertion: string): TokenRequest {
  const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";
  return { url, client: undefined, form: { grant_type: grantType, assertion } };
}

/** Asks whether the user has agreed by now (RFC 8628, 3.4). */
export function deviceTokenRequest(
  url: string,
  client: OAuthClient,
  deviceCode: string,
): TokenRequest {
  const grantType = "urn:ietf:params:oauth:grant-type:device_code";
  return { url, client, form: { grant_type: grantType, device_code: deviceCode } };
}

/** Asks for a code that the user types in elsewhere (RFC 8628, 3.1). */
export function deviceCodeRequest(
  url: string,
  client: OAuthClient,
  scopes: readonly string[],
): TokenRequest {
  return { url, client, form: scopeOf(scopes) };
}

function scopeOf(scopes: readonly string[]): { readonly scope?: string } {
  return scopes.length === 0 ? {} : { scope: scopes.join(" ") };
}

/** The headers and the body of a request: the client's secret is in exactly one of them. */
export function toHttp({ client, form }: TokenRequest): {
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
} {
  const headers: Record<string, string> = {
    "content-type": "application/x-www-form-urlencoded",
    accept: "application/json",
    "accept-encoding": "identity",
  };
  const fields = new URLSearchParams(form);
  const secret = client?.clientSecret?.expose();
  if (client !== undefined && secret !== undefined && client.method === "client_secret_basic") {
    // Both are form-encoded first (RFC 6749, 2.3.1): a colon in the id would move the border.
    const pair = `${formEncoded(client.clientId)}:${formEncoded(secret)}`;
    headers.authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
  } else if (client !== undefined) {
    fields.set("client_id", client.clientId);
    if (secret !== undefined && client.method === "client_secret_post") {
      fields.set("client_secret", secret);
    }
  }
  return { headers, body: new TextEncoder().encode(fields.toString()) };
}

function formEncoded(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice(2);
}
