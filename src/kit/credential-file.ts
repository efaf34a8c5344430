import * as v from "valibot";
import { isLoopbackHost } from "./loopback.ts";

/** Longest token, in characters: what a header of 16 KiB can carry. */
export const mostTokenCharacters = 12_288;

/** What a header can carry: a line break in a token would begin another header. */
const token = v.pipe(
  v.string(),
  v.trim(),
  v.nonEmpty("is empty"),
  v.regex(/^[\x21-\x7e]+$/, "holds a space, a line break or a character that is not ASCII"),
  v.maxLength(mostTokenCharacters, `is longer than ${mostTokenCharacters} characters`),
);
const text = v.pipe(v.string(), v.nonEmpty("is empty"), v.maxLength(4096, "is too long"));
/** Credentials go there: never in the clear, but for a server on this machine. */
const tokenUrl = v.pipe(
  text,
  v.check(isSafeUrl, "must be an https:// address without user, password or fragment"),
);
const moment = v.pipe(
  v.string(),
  v.check(
    (at) => /^\d{4}-\d\d-\d\dT/.test(at) && !Number.isNaN(Date.parse(at)),
    "is no RFC 3339 time",
  ),
);

const common = {
  /** As in the name of the file; only there to be read by people. */
  id: v.optional(text),
  label: v.optional(v.pipe(v.string(), v.maxLength(256, "is longer than 256 characters"))),
  /** Lower goes first. */
  priority: v.optional(v.pipe(v.number(), v.integer("is no whole number")), 0),
  /** Its share where credentials are chosen by weight. */
  weight: v.optional(v.pipe(v.number(), v.integer("is no whole number"), v.minValue(1))),
  disabled: v.optional(v.boolean(), false),
  created_at: v.optional(moment),
};

const apiKey = v.looseObject({ type: v.literal("api_key"), token, ...common });

const oauth = v.pipe(
  v.looseObject({
    type: v.literal("oauth"),
    access_token: v.optional(token),
    /** The same, by the name that it has in a file of type `api_key`. */
    token: v.optional(token),
    refresh_token: v.optional(token),
    /** When the access token ends; absent: unknown. */
    expires_at: v.optional(moment),
    token_url: v.optional(tokenUrl),
    client_id: v.optional(text),
    client_secret: v.optional(text),
    /** How the client proves who it is; absent: as it has a secret or none. */
    auth_method: v.optional(v.picklist(["client_secret_basic", "client_secret_post", "none"])),
    scopes: v.optional(v.array(text)),
    ...common,
  }),
  v.check(
    (o) => (o.access_token ?? o.token ?? o.refresh_token) !== undefined,
    "needs `access_token`, `refresh_token` or both",
  ),
  v.check(
    ({ access_token: access, token: same = access }) => access === undefined || access === same,
    "has a `token` and another `access_token`: keep one",
  ),
  v.transform(({ token: named, ...rest }) => {
    return named === undefined ? rest : { ...rest, access_token: named };
  }),
);

/** The file that Google's console hands out, as it is. */
const serviceAccount = v.looseObject({
  type: v.literal("service_account"),
  project_id: v.optional(text),
  private_key_id: v.optional(text),
  private_key: v.pipe(
    v.string(),
    v.startsWith("-----BEGIN", "is no PEM"),
    v.maxLength(16_384, "is too long"),
  ),
  client_email: text,
  token_uri: v.optional(tokenUrl, "https://oauth2.googleapis.com/token"),
  scopes: v.optional(v.array(text)),
  ...common,
});

const schema = v.variant("type", [apiKey, oauth, serviceAccount]);

/** What a file of `auth.dir` holds, told apart by `type`. */
export type CredentialFile = v.InferOutput<typeof schema>;
/** The same before defaults are filled in, for writing. */
export type CredentialInput = v.InferInput<typeof schema>;
export type ApiKeyFile = v.InferOutput<typeof apiKey>;
export type OauthFile = v.InferOutput<typeof oauth>;
export type ServiceAccountFile = v.InferOutput<typeof serviceAccount>;

export const credentialTypes = ["api_key", "oauth", "service_account"] as const;

/** A credential, or a sentence that says what is wrong; it names fields, never values. */
export type ParsedCredential =
  | { readonly ok: true; readonly content: CredentialFile }
  | { readonly ok: false; readonly message: string };

/** Checks what a credential file holds. */
export function parseCredential(content: unknown): ParsedCredential {
  const parsed = v.safeParse(schema, content);
  if (parsed.success) return { ok: true, content: parsed.output };
  const [issue] = parsed.issues;
  const path = issue.path?.map(({ key }) => String(key)).join(".") ?? "";
  if (path === "" && issue.kind === "schema") return { ok: false, message: shapeWanted };
  if (path === "type") return { ok: false, message: shapeWanted };
  // A schema's own words would quote the value.
  const what = issue.kind === "validation" && issue.type !== "check" ? issue.message : undefined;
  const message = what ?? (issue.kind === "schema" ? missingOrWrong(issue) : issue.message);
  return { ok: false, message: path === "" ? message : `\`${path}\` ${message}` };
}

const shapeWanted =
  'must be {"type": "api_key", "token": "…"}, or of type "oauth" or "service_account"';

function missingOrWrong(issue: v.BaseIssue<unknown>): string {
  return issue.input === undefined
    ? "is missing"
    : `must be a ${issue.expected ?? "something else"}`;
}

function isSafeUrl(text: string): boolean {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return false;
  }
  if (url.username !== "" || url.password !== "" || url.hash !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && isLoopbackHost(url.hostname);
}
