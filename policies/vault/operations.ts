import * as v from "valibot";
import type { AdminOperation } from "../../src/contract/admin.ts";

const name = v.pipe(v.string(), v.nonEmpty(), v.maxLength(64));
const text = v.pipe(v.string(), v.nonEmpty(), v.maxLength(16_384));
const priority = v.pipe(v.number(), v.integer());

const common = {
  provider: name,
  /** Absent: `default`, the provider's only one. */
  id: v.optional(v.pipe(v.string(), v.maxLength(100))),
  label: v.optional(v.pipe(v.string(), v.maxLength(256))),
  priority: v.optional(priority),
  disabled: v.optional(v.boolean()),
};

/** What makes a credential, told apart by `type`. */
export const newAuth = v.variant("type", [
  v.strictObject({ ...common, type: v.literal("api_key"), token: text }),
  v.strictObject({
    ...common,
    type: v.literal("oauth"),
    access_token: v.optional(text),
    refresh_token: v.optional(text),
    expires_at: v.optional(v.string()),
    token_url: v.optional(text),
    client_id: v.optional(text),
    client_secret: v.optional(text),
    auth_method: v.optional(v.picklist(["client_secret_basic", "client_secret_post", "none"])),
    scopes: v.optional(v.array(text)),
  }),
  /** The file that Google hands out, with `provider` beside what is in it. */
  v.looseObject({
    ...common,
    type: v.literal("service_account"),
    client_email: text,
    private_key: text,
  }),
]);

export const authChange = v.pipe(
  v.strictObject({ priority: v.optional(priority), disabled: v.optional(v.boolean()) }),
  v.check(
    (change) => change.priority !== undefined || change.disabled !== undefined,
    "must name `priority`, `disabled` or both",
  ),
);

const auth = v.strictObject({
  provider: v.string(),
  id: v.string(),
  type: v.picklist(["api_key", "oauth", "service_account"]),
  /** With auth.encryption, bound to its place. */
  encrypted: v.boolean(),
  priority,
  disabled: v.boolean(),
  label: v.nullable(v.string()),
  /** At most the last four characters of its secret. */
  last4: v.nullable(v.string()),
  /** Whom a service account is. */
  account: v.nullable(v.string()),
  /** Of the access token; null: it does not expire, or nobody knows when. */
  expires_at: v.nullable(v.string()),
  /** Code of the last refresh, if it failed. */
  last_error: v.nullable(v.string()),
  /** For `If-Match`. */
  version: v.string(),
});
export type ShownAuth = v.InferOutput<typeof auth>;

const removed = v.strictObject({ provider: v.string(), removed: v.array(v.string()) });
const one = "/auths/{provider}/{id}";

/** What the vault adds to the management API. */
export const operations: readonly AdminOperation[] = [
  {
    id: "listAuths",
    method: "GET",
    path: "/auths",
    summary: "Lists the provider credentials in auth.dir, without their secrets.",
    status: 200,
    reply: v.strictObject({
      auths: v.array(auth),
      /** Files that are not used, and why. */
      refused: v.array(
        v.strictObject({
          file: v.string(),
          reason: v.string(),
          message: v.string(),
          mend: v.string(),
        }),
      ),
    }),
    refusals: [],
  },
  {
    id: "addAuth",
    method: "POST",
    path: "/auths",
    summary: "Adds a provider credential, or replaces the one of that id.",
    body: newAuth,
    status: 201,
    reply: auth,
    refusals: ["unprocessable", "conflict", "precondition_failed"],
  },
  {
    id: "changeAuth",
    method: "PUT",
    path: one,
    summary: "Switches a provider credential on or off, or changes its priority.",
    body: authChange,
    status: 200,
    reply: auth,
    refusals: ["conflict", "precondition_failed"],
  },
  {
    id: "removeAuths",
    method: "DELETE",
    path: "/auths/{provider}",
    summary: "Removes all credentials of a provider.",
    status: 200,
    reply: removed,
    refusals: ["conflict", "precondition_failed"],
  },
  {
    id: "removeAuth",
    method: "DELETE",
    path: one,
    summary: "Removes one credential of a provider.",
    status: 200,
    reply: removed,
    refusals: ["conflict", "precondition_failed"],
  },
];
