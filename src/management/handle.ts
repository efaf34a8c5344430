import type { AdminCall, AdminHandler, AdminOperation, AdminReply } from "../contract/admin.ts";
import type { Deny, SecurityEvent } from "../contract/policy.ts";
import type { RunningExchange } from "../exchange.ts";
import { digestOf } from "../kit/digest.ts";
import { answer, refuse } from "../reply.ts";
import { toRefusal } from "../verdict.ts";
import { type Budget, readJson, readQuery } from "./input.ts";

/** An operation, and what carries it out in one generation. */
export interface MountedOperation {
  readonly operation: AdminOperation;
  readonly run: AdminHandler;
}

/** What the management API needs of its generation. */
export interface AdminHouse extends Budget {
  emit(event: SecurityEvent): void;
}

/** Answers one management request; the caller guards it against rejection. */
export async function handleAdmin(
  x: RunningExchange,
  { operation, run }: MountedOperation,
  params: Readonly<Record<string, string>>,
  house: AdminHouse,
): Promise<Response> {
  const refused = await x.route.pipeline.request(x);
  if (refused !== undefined) return refuse(x, refused);
  // A name with a slash was sent as %2f: nothing here has such a name.
  if (Object.values(params).some((value) => value === "" || value.includes("/"))) {
    return refuse(x, { code: "not_found" });
  }
  const query = readQuery(x, operation);
  if ("code" in query) return refuse(x, query);
  const body = await readJson(x, operation, house);
  if ("code" in body) return refuse(x, body);
  const call: AdminCall = {
    x,
    params,
    query: query.value,
    body: body.value,
    mismatch: (version) => mismatch(x.header("if-match"), version),
  };
  const isWrite = operation.method !== "GET";
  const reply = await run(call);
  if ("deny" in reply) {
    if (isWrite) record(x, operation, house, reply.deny, undefined);
    return refuse(x, toRefusal(reply));
  }
  if (isWrite) record(x, operation, house, "applied", reply.change);
  return answer(x, reply.body === undefined ? null : JSON.stringify(reply.body), {
    status: operation.status,
    headers: reply.version === undefined ? {} : { etag: `"${reply.version}"` },
  });
}

/** Strong comparison (RFC 9110, 13.1.1); `*` means whatever there is. */
function mismatch(sent: string | null, version: string): Deny | undefined {
  if (sent === null || sent.trim() === "*") return undefined;
  const tags = sent.split(",").map((tag) => tag.trim());
  return tags.includes(`"${version}"`) ? undefined : { deny: "precondition_failed" };
}

/** Every write is told to the audit: who, what, and by digests what changed. */
function record(
  x: RunningExchange,
  { id }: AdminOperation,
  house: AdminHouse,
  result: string,
  change: AdminReply["change"],
): void {
  house.emit({
    type: "config_change",
    result,
    ip: x.ip,
    requestId: x.id,
    ...(x.principal !== undefined && { userId: x.principal.userId }),
    details: {
      operation: id,
      ...(change !== undefined && {
        what: change.what,
        before: digestOf(change.before),
        after: digestOf(change.after),
      }),
    },
  });
}
