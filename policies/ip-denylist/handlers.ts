import type * as v from "valibot";
import type { AdminCall, AdminHandler, AdminReply } from "../../src/contract/admin.ts";
import type { Deny, PolicyHost } from "../../src/contract/policy.ts";
import { formatRange, type IpRange, isInRange, readRange } from "../../src/kit/ip-range.ts";
import { formatTime } from "../../src/kit/timestamp.ts";
import type { AddedEntry, DynamicList } from "./dynamic-list.ts";
import type { newEntry, pageQuery, rangeQuery } from "./operations.ts";
import { type ConfiguredEntry, isDenied, type StaticList } from "./static-list.ts";

/** What the operations work on. */
export interface Lists {
  readonly configured: StaticList;
  readonly added: DynamicList;
  readonly host: PolicyHost;
  readonly maxEntries: number;
}

export function handlersOf(lists: Lists): Readonly<Record<string, AdminHandler>> {
  return {
    listDeniedAddresses: (call) => list(call, lists),
    denyAddress: (call) => deny(call, lists),
    allowAddress: (call) => allow(call, lists),
  };
}

/** Those of the configuration come first, in its order; both sources may name one address. */
async function list({ query }: AdminCall, { configured, added, host }: Lists): Promise<AdminReply> {
  const { limit, after } = query as v.InferOutput<typeof pageQuery>;
  const nowMs = host.clock.now();
  added.dropExpired(nowMs);
  const total = configured.count(nowMs) + added.size;
  const entries = [];
  let from = after;
  if (!from.isAdded) {
    const page = configured.page(from.index, limit, nowMs);
    entries.push(...page.entries.map(showConfigured));
    if (page.next !== undefined) return { body: { entries, total, next: `config:${page.next}` } };
    from = { isAdded: true, key: undefined };
  }
  const room = limit - entries.length;
  // One more tells whether there is another page.
  const found = await added.page(from.key, room + 1, host.store, nowMs);
  entries.push(...found.slice(0, room).map(showAdded));
  const next = found.length > room ? `api:${found[room - 1]?.ip ?? ""}` : null;
  return { body: { entries, total, next } };
}

async function deny(call: AdminCall, lists: Lists): Promise<AdminReply | Deny> {
  const { ip, reason, expires_in, force } = call.body as v.InferOutput<typeof newEntry>;
  const { added, host, maxEntries } = lists;
  const { range } = ip;
  const key = formatRange(range);
  if (!force && covers(range, call.x.ip)) {
    return conflict(
      `${key} is where this request comes from, and would lock you out. ` +
        "Send `force: true` if that is meant.",
    );
  }
  const nowMs = host.clock.now();
  if (!added.holds(range) && added.size >= maxEntries) {
    added.dropExpired(nowMs);
    if (added.size >= maxEntries) return full(maxEntries);
  }
  const untilMs = expires_in === undefined ? Number.POSITIVE_INFINITY : nowMs + expires_in;
  const entry: AddedEntry = { ip: key, reason, createdMs: nowMs, untilMs };
  // In force first: a store that is slow, or fails, must not hold it off.
  added.add(range, untilMs);
  const ended = host.live.abort((x) => x.id !== call.x.id && covers(range, x.ip), "revoked");
  const before = await added.find(key, host.store, nowMs);
  await added.keep(range, entry, host.store);
  const after = showAdded(entry);
  return {
    body: { ...after, ended },
    change: { what: `denylist ${key}`, before: before && showAdded(before), after },
  };
}

function full(maxEntries: number): Deny {
  return conflict(
    `The denylist holds ${maxEntries} entries (server.security.ip_denylist.max_entries). ` +
      "Remove some, or deny a range instead.",
  );
}

async function allow(call: AdminCall, lists: Lists): Promise<AdminReply | Deny> {
  const { prefix } = call.query as v.InferOutput<typeof rangeQuery>;
  const { configured, added, host } = lists;
  const read = readRange(prefix === undefined ? at(call) : `${at(call)}/${prefix}`);
  if ("problem" in read) return { deny: "bad_request", message: `The address ${read.problem}.` };
  const key = formatRange(read.range);
  const nowMs = host.clock.now();
  const before = await added.find(key, host.store, nowMs);
  if (await added.remove(read.range, host.store)) {
    const change = {
      what: `denylist ${key}`,
      before: before && showAdded(before),
      after: undefined,
    };
    return { change };
  }
  if (configured.holds(read.range)) {
    return conflict(
      `${key} is denied by the configuration. Remove it from ` +
        "server.security.ip_denylist.denied_ips.",
    );
  }
  return { deny: "not_found", message: `There is no entry ${key}; a range needs \`?prefix=\`.` };
}

function at({ params }: AdminCall): string {
  return params.ip ?? "";
}

function conflict(message: string): Deny {
  return { deny: "conflict", message };
}

/** Whether a range denies an address, one inside of it included. */
function covers(range: IpRange, address: string): boolean {
  return isDenied(address, (ip) => isInRange(ip, range));
}

function showAdded({ ip, reason, createdMs, untilMs }: AddedEntry) {
  return {
    ip,
    reason,
    created_at: formatTime(createdMs),
    expires_at: formatTime(untilMs),
    source: "api",
  };
}

function showConfigured({ ip, reason, expires }: ConfiguredEntry) {
  return {
    ip: formatRange(ip.range),
    reason: reason ?? "",
    created_at: null,
    expires_at: expires === undefined ? null : formatTime(expires),
    source: "config",
  };
}
