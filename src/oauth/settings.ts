import * as v from "valibot";
import { doc, secret } from "../kit/schema.ts";
import type { Secret } from "../kit/secret.ts";
import { endpointProblem } from "../kit/token-url.ts";
import { type ClientAuthMethod, clientAuthMethods } from "./grant.ts";
import type { RefreshClient } from "./refresh-origin.ts";

const text = v.pipe(v.string(), v.nonEmpty(), v.maxLength(2048));
const scope = v.pipe(v.string(), v.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, "must be one scope"));

function perProvider<T extends v.GenericSchema>(schema: T) {
  return v.optional(v.record(v.string(), schema), {});
}

const schema = v.strictObject({
  tokenUrl: perProvider(
    v.pipe(
      text,
      doc("Token endpoint for OAuth credentials whose file names no client of its own.", {
        example: "https://auth.example.com/oauth/token",
      }),
    ),
  ),
  deviceUrl: perProvider(
    v.pipe(
      text,
      doc("Device authorization endpoint, for `cliproxy auths login`.", {
        example: "https://auth.example.com/oauth/device/code",
      }),
    ),
  ),
  clientId: perProvider(
    v.pipe(
      text,
      doc("The client that you have registered there; none is built in.", { example: "my-client" }),
    ),
  ),
  clientSecret: perProvider(
    v.pipe(secret(), doc("Its secret, if it has one.", { example: "${OAUTH_CLIENT_SECRET}" })),
  ),
  authMethod: perProvider(
    v.pipe(
      v.picklist(clientAuthMethods),
      doc("How the client proves who it is; client_secret_basic if it has a secret, else none.", {
        example: "client_secret_basic",
      }),
    ),
  ),
  scopes: perProvider(
    v.pipe(v.array(scope), doc("What is asked for at login.", { example: ["models.read"] })),
  ),
});

/** The OAuth client of a provider. */
export const oauthClaims = {
  name: "oauth",
  schema,
  keys: {
    tokenUrl: "providers.*.oauth.token_url",
    deviceUrl: "providers.*.oauth.device_url",
    clientId: "providers.*.oauth.client_id",
    clientSecret: "providers.*.oauth.client_secret",
    authMethod: "providers.*.oauth.auth_method",
    scopes: "providers.*.oauth.scopes",
  },
} as const;
export type OAuthSettings = v.InferOutput<typeof schema>;

/** The client of one provider's configuration. */
export interface ConfiguredClient extends RefreshClient {
  readonly deviceUrl: string | undefined;
}

/** What is wrong, below `providers.<name>.oauth`. */
export interface ClientProblem {
  readonly key: string;
  readonly message: string;
  readonly mend: string;
}

/**
 * The client that the configuration of a provider names.
 * @param allowInsecure `providers.<name>.allow_insecure`
 * @returns undefined where it names none
 */
export function configuredClient(
  name: string,
  settings: OAuthSettings,
  allowInsecure: boolean,
): ConfiguredClient | ClientProblem | undefined {
  const { tokenUrl, deviceUrl, clientId, clientSecret, authMethod, scopes } = settings;
  const given = [tokenUrl, deviceUrl, clientId, clientSecret, authMethod, scopes];
  if (given.every((values) => values[name] === undefined)) return undefined;
  const url = tokenUrl[name];
  const id = clientId[name];
  if (url === undefined) return { key: "token_url", message: "is missing", mend: "name it" };
  if (id === undefined) {
    return { key: "client_id", message: "is missing", mend: "name the client that you registered" };
  }
  for (const [key, address] of [
    ["token_url", url],
    ["device_url", deviceUrl[name]],
  ] as const) {
    const message = address && endpointProblem(address, allowInsecure);
    if (message) return { key, message, mend: "correct the address" };
  }
  const method = methodOf(clientSecret[name], authMethod[name]);
  if (typeof method !== "string") return method;
  return {
    tokenUrl: url,
    deviceUrl: deviceUrl[name],
    client: { clientId: id, clientSecret: clientSecret[name], method },
    scopes: scopes[name] ?? [],
  };
}

function methodOf(
  secret: Secret | undefined,
  wanted: ClientAuthMethod | undefined,
): ClientAuthMethod | ClientProblem {
  if (wanted === undefined) return secret === undefined ? "none" : "client_secret_basic";
  if (wanted === "none" && secret !== undefined) {
    return {
      key: "auth_method",
      message: "`none` would not use client_secret",
      mend: "remove one",
    };
  }
  if (wanted !== "none" && secret === undefined) {
    return { key: "auth_method", message: "needs a client_secret", mend: "set it, or say `none`" };
  }
  return wanted;
}
