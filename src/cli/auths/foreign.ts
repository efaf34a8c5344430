import { createHash } from "node:crypto";
import { type CredentialInput, parseCredential } from "../../kit/credential-file.ts";

/** A credential of another proxy, as one of ours. */
export interface Candidate {
  readonly provider: string;
  readonly id: string;
  readonly content: CredentialInput;
  /** What a person has to know about it. */
  readonly notes: readonly string[];
}

/** Found, but not taken over; holds no secret. */
export interface Skipped {
  readonly what: string;
  readonly why: string;
}

export interface Foreign {
  readonly candidates: readonly Candidate[];
  readonly skipped: readonly Skipped[];
  /** Lines for our configuration that make use of what was found. */
  readonly config: readonly string[];
}

export type Fields = Readonly<Record<string, unknown>>;

/** CLIProxyAPI's names for whose API it is, and ours. */
const providerOf: Readonly<Record<string, string>> = {
  ...{ claude: "claude", codex: "openai", openai: "openai" },
  ...{ gemini: "gemini", "gemini-cli": "gemini", vertex: "gemini" },
};

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads an auth file of CLIProxyAPI.
 * @param file its name, which becomes the id
 */
export function fromAuthFile(file: string, content: unknown): Foreign {
  const skip = (why: string): Foreign => ({
    ...{ candidates: [], config: [] },
    skipped: [{ what: file, why }],
  });
  if (!isFields(content)) return skip("is no JSON object");
  const type = text(content.type) ?? "";
  const made = toContent(type, content);
  if (typeof made === "string") return skip(made);
  const provider = providerOf[type] ?? (type === "api_key" ? file.split(/[-.]/)[0] : type) ?? "";
  if (!isProviderName(provider)) return skip("its type is no name for a provider");
  const parsed = parseCredential(made.content);
  if (!parsed.ok) return skip(parsed.message);
  const base = file.replace(/\.json$/, "");
  const rest = base.startsWith(`${type}-`) || base.startsWith(`${provider}-`);
  const id = toId(rest ? base.slice(base.indexOf("-") + 1) : base);
  return {
    candidates: [{ provider, id, content: made.content, notes: made.notes }],
    ...{ skipped: [], config: [] },
  };
}

function toContent(
  type: string,
  fields: Fields,
): { readonly content: CredentialInput; readonly notes: readonly string[] } | string {
  const notes: string[] = [];
  const label = text(fields.label) ?? text(fields.email) ?? text(fields.note);
  const { priority } = fields;
  const common = {
    ...(label !== undefined && { label: label.slice(0, 256) }),
    ...(fields.disabled === true && { disabled: true }),
    // There the higher one goes first.
    ...(Number.isSafeInteger(priority) && { priority: 0 - Number(priority) }),
  };
  const idle = ["proxy_url", "prefix", "headers", "weight", "excluded_models", "model_aliases"];
  const lost = idle.filter((name) => fields[name] !== undefined);
  if (lost.length > 0) notes.push(`${lost.join(", ")} can't be taken over`);
  const account = fields.service_account;
  if (isFields(account)) {
    return {
      content: { ...account, ...common, type: "service_account" } as CredentialInput,
      notes,
    };
  }
  const token = text(fields.token) ?? text(fields.api_key);
  if (type === "api_key" || (token !== undefined && fields.access_token === undefined)) {
    if (token === undefined) return "holds no token";
    return { content: { type: "api_key", token, ...common }, notes };
  }
  const access = text(fields.access_token);
  const refresh = text(fields.refresh_token);
  if (access === undefined && refresh === undefined) return "holds no token";
  const tokenUrl = text(fields.token_endpoint) ?? text(fields.token_url);
  const clientId = text(fields.client_id);
  if (tokenUrl === undefined || clientId === undefined) {
    notes.push("it can't be refreshed without token_url and client_id: add them to refresh it");
  }
  const expires = Date.parse(text(fields.expired) ?? "");
  return {
    content: {
      type: "oauth",
      ...(access !== undefined && { access_token: access }),
      ...(refresh !== undefined && { refresh_token: refresh }),
      ...(!Number.isNaN(expires) && { expires_at: new Date(expires).toISOString() }),
      ...(tokenUrl !== undefined && { token_url: tokenUrl }),
      ...(clientId !== undefined && { client_id: clientId }),
      ...common,
    },
    notes,
  };
}

/** The same key gets the same id again, so that importing twice adds nothing. */
export function idOfKey(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 8);
}

export function isProviderName(name: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name);
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
}

function toId(name: string): string {
  const clean = name.replace(/[^\w.@+-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return clean === "" ? "imported" : clean.slice(0, 100);
}
