import type { CredentialKind, Provider } from "./contract/plugin.ts";
import type { Surface } from "./contract/types.ts";
import type { Secret } from "./kit/secret.ts";
import type { Selection } from "./routing/settings.ts";
import type { Pool } from "./runtime/runtime.ts";

/** One credential of a provider; the secret is exposed only when a request is sent. */
export interface Credential {
  readonly id: string;
  readonly kind: CredentialKind;
  /** Undefined: `tokens` has it, as long as it is good. */
  readonly secret: Secret | undefined;
  /** Lower goes first. */
  readonly priority: number;
  /** Its share among those of equal priority; undefined: its provider's. */
  readonly weight?: number | undefined;
  readonly tokens?: TokenSource;
}

/** Gives the access token of a credential that is refreshed. */
export interface TokenSource {
  /** The token, if it is good now. */
  current(): Secret | undefined;
  /** Waits for a good one; undefined: there is none now. */
  acquire(): Promise<Secret | undefined>;
  /** Tells that the provider has refused one; whether there is another one by now. */
  renew(refused: Secret): Promise<boolean>;
  /** Milliseconds until asking again makes sense. */
  readonly waitMs: number;
}

/** Deadlines of a provider, in milliseconds. */
export interface ProviderTimeouts {
  readonly firstByteMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
}

/** A provider of the running configuration. */
export interface ActiveProvider {
  readonly name: string;
  readonly kind: Provider;
  /** Those of its kind's that the server has. */
  readonly dialects: readonly string[];
  /** Origin and path up to and with the version, without a slash at the end; empty in process. */
  readonly base: string;
  /** In order of priority; another list takes its place when files of credentials change. */
  readonly credentials: readonly Credential[];
  readonly timeouts: ProviderTimeouts;
  /** Of the providers of one model the lowest is asked first. */
  readonly priority: number;
  readonly weight: number;
  /** How its credentials of equal priority are chosen. */
  readonly selection: Selection;
  /** Whether some choice depends on how it answers. */
  readonly isMeasured: boolean;
  /** Whether it is kept from serving a model, by the name clients give it. */
  excludes(model: string): boolean;
  /** Undefined: whatever the provider itself lists. */
  readonly models: readonly ModelAlias[] | undefined;
  readonly pool: Pool | undefined;
}

export interface ModelAlias {
  readonly name: string;
  readonly upstream: string;
}

/** Where a call of a surface goes. */
export function upstreamUrl(
  provider: ActiveProvider,
  surface: Surface,
  model: string,
  verb: string | undefined,
  query: string,
): string {
  const { base, kind } = provider;
  return base + kind.path(surface, model, verb) + (kind.query?.(query) ?? query);
}

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Whether an address never leaves this machine, by its URL's host. */
export function isLoopbackHost(hostname: string): boolean {
  return loopback.test(hostname);
}

/**
 * The base of all URLs of a provider.
 * @param baseUrl as configured; a path that ends in a version stays, else `version` is added
 * @param apiPath overrides the version
 * @returns the base, or a sentence that says what is wrong with the address
 */
export function toBase(
  baseUrl: string,
  version: string,
  apiPath: string | undefined,
  allowInsecure: boolean,
): { readonly base: string } | { readonly wrong: string } {
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch {
    return { wrong: "is no URL; write it like https://api.example.com/v1" };
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return { wrong: "must start with https://" };
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { wrong: "must not hold a user, a password, a query or a fragment" };
  }
  if (url.protocol === "http:" && !allowInsecure && !isLoopbackHost(url.hostname)) {
    return {
      wrong: "would send the credential in the clear; use https://, or set allow_insecure: true",
    };
  }
  const path = url.pathname.replace(/\/+$/, "");
  if (apiPath !== undefined) {
    const segment = apiPath.replace(/^\/+|\/+$/g, "");
    return { base: url.origin + path + (segment === "" ? "" : `/${segment}`) };
  }
  return { base: url.origin + (/\/v\d+[a-z0-9]*$/.test(path) ? path : `${path}/${version}`) };
}
