import type * as v from "valibot";
import type { AdminCall, AdminHandler, AdminReply } from "../../src/contract/admin.ts";
import type { Deny, PolicyHost } from "../../src/contract/policy.ts";
import { type AuthStore, StoreFault } from "../../src/kit/auth-store.ts";
import { isSampleKey } from "../../src/kit/client-key.ts";
import {
  type CredentialFile,
  type CredentialInput,
  parseCredential,
} from "../../src/kit/credential-file.ts";
import { defaultId } from "../../src/kit/credential-name.ts";
import type { StoredCredential } from "../../src/kit/credential-reading.ts";
import { digestOf } from "../../src/kit/digest.ts";
import type { authChange, newAuth, ShownAuth } from "./operations.ts";

/** What the operations work on. */
export interface Desk {
  readonly store: AuthStore;
  readonly host: PolicyHost;
  /** Names that a credential may belong to. */
  readonly owners: readonly string[];
}

export function handlersOf(desk: Desk): Readonly<Record<string, AdminHandler>> {
  return {
    listAuths: () => list(desk),
    addAuth: (call) => guarded(() => add(call, desk)),
    changeAuth: (call) => guarded(() => change(call, desk)),
    removeAuths: (call) => guarded(() => remove(call, desk, undefined)),
    removeAuth: (call) => guarded(() => remove(call, desk, call.params.id ?? "")),
  };
}

function list({ store, host }: Desk): AdminReply {
  const { credentials, refused } = store.list();
  const auths = credentials.map((one) => show(one, host));
  return {
    body: {
      auths,
      refused: refused.map(({ file, reason, message, mend }) => ({ file, reason, message, mend })),
    },
    version: versionOfAll(credentials),
  };
}

async function add(call: AdminCall, desk: Desk): Promise<AdminReply | Deny> {
  const { provider, id = defaultId, ...rest } = call.body as v.InferOutput<typeof newAuth>;
  const { store, owners } = desk;
  if (!owners.includes(provider)) return unprocessable(noProvider(provider, owners));
  const parsed = parseCredential(rest);
  if (!parsed.ok) return unprocessable(`The credential is not whole: ${parsed.message}.`);
  const sample = sampleField(parsed.content);
  if (sample !== undefined) {
    return unprocessable(
      `\`${sample}\` is a sample from a document, or too short to be a secret. Paste the one that ` +
        "the provider has given to you.",
    );
  }
  const before = find(store, provider, id);
  const mismatch = call.mismatch(before === undefined ? "none" : versionOf(before));
  if (mismatch !== undefined) return mismatch;
  await store.write(provider, id, rest as CredentialInput);
  return changed(desk, provider, id, before);
}

async function change(call: AdminCall, desk: Desk): Promise<AdminReply | Deny> {
  const { provider = "", id = "" } = call.params;
  const wanted = call.body as v.InferOutput<typeof authChange>;
  const { store, owners } = desk;
  if (!owners.includes(provider)) return notFound(noProvider(provider, owners));
  const before = store.read(provider, id);
  let mismatch: Deny | undefined;
  await store.update(provider, id, (old) => {
    // Under the lock: nobody can be faster now.
    mismatch = call.mismatch(versionOf(old));
    return mismatch === undefined
      ? ({ ...old.content, ...given(wanted) } as CredentialInput)
      : undefined;
  });
  return mismatch ?? changed(desk, provider, id, before);
}

function given({ priority, disabled }: v.InferOutput<typeof authChange>) {
  return {
    ...(priority !== undefined && { priority }),
    ...(disabled !== undefined && { disabled }),
  };
}

async function remove(
  call: AdminCall,
  { store, host, owners }: Desk,
  id: string | undefined,
): Promise<AdminReply | Deny> {
  const { provider = "" } = call.params;
  if (!owners.includes(provider)) return notFound(noProvider(provider, owners));
  const { credentials } = store.list();
  const before = credentials.filter(
    (one) => one.provider === provider && (id === undefined || one.id === id),
  );
  const [only] = before;
  const version = id === undefined ? versionOfAll(credentials) : only && versionOf(only);
  const mismatch = call.mismatch(version ?? "none");
  if (mismatch !== undefined) return mismatch;
  const removed = await store.remove(provider, id);
  if (removed.length === 0) {
    const which = id === undefined ? "no credential" : `no credential \`${id}\``;
    return notFound(
      `There is ${which} of ${provider} in auth.dir; GET /v0/management/auths lists what there ` +
        `is. One in the configuration is removed there (providers.${provider}.api_key).`,
    );
  }
  await host.credentials.reread();
  const what = `credential ${provider}${id === undefined ? "" : ` ${id}`}`;
  return {
    body: { provider, removed: [...removed] },
    change: { what, before: before.map(versionOf), after: undefined },
  };
}

/** What a write has made, in use when it is answered. */
async function changed(
  { store, host }: Desk,
  provider: string,
  id: string,
  before: StoredCredential | undefined,
): Promise<AdminReply> {
  await host.credentials.reread();
  const after = store.read(provider, id);
  const version = versionOf(after);
  return {
    body: show(after, host),
    version,
    change: {
      what: `credential ${provider} ${id}`,
      before: before && versionOf(before),
      after: version,
    },
  };
}

function find(store: AuthStore, provider: string, id: string): StoredCredential | undefined {
  return store.list().credentials.find((one) => one.provider === provider && one.id === id);
}

function show(one: StoredCredential, host: PolicyHost): ShownAuth {
  const { provider, id, content, form, file } = one;
  const token = host.credentials.tokenOf(file);
  const expiresAtMs = token?.expiresAtMs;
  const written = content.type === "oauth" ? (content.expires_at ?? null) : null;
  return {
    ...{ provider, id, type: content.type, encrypted: form === "encrypted" },
    ...{ priority: content.priority, disabled: content.disabled, label: content.label ?? null },
    last4: lastFour(content),
    account: content.type === "service_account" ? content.client_email : null,
    expires_at: expiresAtMs === undefined ? written : new Date(expiresAtMs).toISOString(),
    last_error: token?.lastError ?? null,
    version: versionOf(one),
  };
}

/** Fewer characters would leave too few that are not told. */
const leastShown = 16;

function lastFour(content: CredentialFile): string | null {
  if (content.type === "service_account") return null;
  const secret = content.type === "api_key" ? content.token : content.access_token;
  return secret === undefined || secret.length < leastShown ? null : secret.slice(-4);
}

function sampleField(content: CredentialFile): string | undefined {
  if (content.type === "api_key") return isSampleKey(content.token) ? "token" : undefined;
  if (content.type !== "oauth") return undefined;
  const { access_token: access, refresh_token: refresh } = content;
  if (access !== undefined && isSampleKey(access)) return "access_token";
  return refresh !== undefined && isSampleKey(refresh) ? "refresh_token" : undefined;
}

function versionOf({ content, form }: StoredCredential): string {
  return digestOf([content, form]).slice(0, 32);
}

function versionOfAll(credentials: readonly StoredCredential[]): string {
  return digestOf(credentials.map((one) => [one.file, versionOf(one)])).slice(0, 32);
}

function noProvider(provider: string, owners: readonly string[]): string {
  const name = /^[\w.-]{1,64}$/.test(provider) ? ` \`${provider}\`` : " of that name";
  return `There is no provider${name}. Configured: ${owners.join(", ")}.`;
}

function unprocessable(message: string): Deny {
  return { deny: "unprocessable", message };
}

function notFound(message: string): Deny {
  return { deny: "not_found", message };
}

/** Says what the store says; its words hold no secret. */
async function guarded(work: () => Promise<AdminReply | Deny>): Promise<AdminReply | Deny> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error;
    const { code, message, mend } = error;
    const text = `${message}${mend === "" ? "" : `: ${mend}`}.`;
    if (code === "not_found") return notFound(text);
    if (code === "bad_credential") return unprocessable(text);
    return { deny: "conflict", message: text };
  }
}
