/**
 * Records who did what in a file that can't be changed unnoticed. It can't keep whoever holds the
 * key from writing the file anew: keep its checkpoints elsewhere. Where records are required, a log
 * that can't be written refuses new requests; an admin write is always refused then.
 */
import { accessSync, constants, existsSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import * as v from "valibot";
import {
  type Attempt,
  type AttemptResult,
  definePolicy,
  type EventType,
  type Exchange,
  eventTypes,
  type Hooks,
  type Outcome,
  type PolicyHost,
  type SecurityEvent,
  type Verdict,
} from "../../src/contract/policy.ts";
import { accessNote, chownMend } from "../../src/kit/access-note.ts";
import { type AuditEntry, chainKeyOf } from "../../src/kit/audit-chain.ts";
import { auditKeyFile } from "../../src/kit/audit-key.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { bytes, doc } from "../../src/kit/schema.ts";
import { realDisk } from "./disk.ts";
import { Journal } from "./journal.ts";
import type { Rotation } from "./rotator.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000));
const schema = v.strictObject({
  enabled: v.optional(v.pipe(v.boolean(), doc("Write an audit log.")), false),
  file: v.optional(
    v.pipe(
      v.string(),
      v.nonEmpty(),
      doc("Where it is written: a directory of its own.", { example: "/logs/audit.log" }),
    ),
  ),
  format: v.optional(v.pipe(v.picklist(["json"]), doc("One JSON object a line.")), "json"),
  events: v.optional(
    v.pipe(
      v.array(v.picklist(eventTypes)),
      v.minLength(1, "needs at least one event"),
      doc("What is recorded.", { example: ["auth_failure", "config_change"] }),
    ),
    [...eventTypes],
  ),
  required: v.optional(
    v.pipe(v.boolean(), doc("Refuse new requests while the log can't be written.")),
    false,
  ),
  maxSize: v.optional(v.pipe(bytes(), doc("Size at which the file is rotated.")), "100MiB"),
  rotate: v.optional(
    v.pipe(v.picklist(["size", "daily"]), doc("daily: also at the end of each day, in UTC.")),
    "size",
  ),
  keep: v.optional(
    v.pipe(count, doc("Rotated files to keep; unset: all of them.", { example: 30 })),
  ),
});
type Settings = v.InferOutput<typeof schema>;

export const policy = definePolicy({
  name: "audit",
  summary: "Records who did what, in a chain that shows every later change.",
  stage: "observe",
  onFault: "closed",
  covers: { surfaces: "all", streams: true, admin: true },
  required: true,
  config: {
    schema,
    keys: {
      enabled: "logging.audit.enabled",
      file: "logging.audit.file",
      format: "logging.audit.format",
      events: "logging.audit.events",
      required: "logging.audit.required",
      maxSize: "logging.audit.max_size",
      rotate: "logging.audit.rotate",
      keep: "logging.audit.keep",
    },
  },
  create(settings, host) {
    if (!settings.enabled) return undefined;
    const path = pathOf(settings, host);
    if (!host.facts.serving) {
      checkAccess(path);
      return {};
    }
    const journals = host.keep("journals", () => new Map<string, Journal>());
    const journal = journals.get(path) ?? open(path, host);
    journals.set(path, journal);
    journal.hold();
    offerGauges(journal, host);
    return hooksOf(settings, host, journal, () => {
      if (journal.release()) journals.delete(path);
    });
  },
});

function pathOf({ file }: Settings, host: PolicyHost): string {
  if (file === undefined) {
    throw fault("is needed where the audit log is enabled", "name a file, as ./logs/audit.log");
  }
  const path = resolve(file);
  // Each record would be taken for a changed credential, and cause a reload.
  if (path.startsWith(resolve(host.facts.authDir) + sep)) {
    throw fault(`${path} is in auth.dir`, "choose a directory of its own");
  }
  return path;
}

function open(path: string, host: PolicyHost): Journal {
  const { clock, log } = host;
  const secret = auditKeyFile(host.facts.authDir, true);
  const key = chainKeyOf(secret ?? new Uint8Array());
  try {
    return new Journal({ path, key, clock, log, disk: realDisk, timer });
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/** `check` makes nothing, but says what the start would. */
function checkAccess(path: string): void {
  let dir = dirname(path);
  while (!existsSync(dir) && dirname(dir) !== dir) dir = dirname(dir);
  try {
    accessSync(existsSync(path) ? path : dir, constants.W_OK);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

const mends: Readonly<Record<string, string>> = {
  ELOOP: "it is a symbolic link: name the file itself",
  ENOTREG: "name a regular file; others, such as pipes, can't keep a chain",
  EISDIR: "it is a directory: name a file in it",
  ENOSPC: "free space on that disk",
};

function cannotOpen(path: string, error: unknown): Error {
  const { code, message } = error as { code?: string; message?: string };
  const dir = dirname(path);
  const mend = mends[code ?? ""] ?? chownMend(dir);
  return fault(`${path}: ${code ?? message} (${accessNote(existsSync(path) ? path : dir)})`, mend);
}

function fault(message: string, mend: string): Error {
  return configFault("logging.audit.file", message, mend);
}

function timer(run: () => void, ms: number): { cancel(): void } {
  const handle = setTimeout(run, ms);
  return { cancel: () => clearTimeout(handle) };
}

function hooksOf(settings: Settings, host: PolicyHost, journal: Journal, dispose: () => void) {
  const { clock } = host;
  const { writer } = journal;
  const wanted = new Set<EventType>(settings.events);
  const hears = [...wanted].filter((type) => type !== "provider_request");
  const rotation: Rotation = {
    maxBytes: settings.maxSize,
    daily: settings.rotate === "daily",
    keep: settings.keep,
  };
  const hooks: Hooks = {
    hears,
    event(event) {
      journal.record(toEntry(event, clock.now()));
      // Whoever changes the house gets no answer before the disk has the record.
      if (event.type === "config_change") writer.flush(true, true);
    },
    adopted() {
      writer.rotation = rotation;
      writer.onAlarm = (what, details) =>
        host.emit({ type: "security_violation", result: `audit_${what}`, details });
      writer.flush(false, true);
    },
    request: (x) => gate(x, settings.required, journal),
    response: (x) => (isAdminWrite(x) && writer.isFailing ? unavailable : "pass"),
    dispose,
  };
  if (!wanted.has("provider_request")) return hooks;
  return {
    ...hooks,
    attemptEnd: (x: Exchange, attempt: Attempt, result: AttemptResult) =>
      writer.add(toProviderRequest(x, attempt, result, clock.now())),
    finish(x: Exchange, outcome: Outcome) {
      const { kind, policy } = outcome;
      if (kind === "success" && policy !== undefined) {
        writer.add(toOwnAnswer(x, outcome, policy, clock.now()));
      }
    },
  } satisfies Hooks;
}

const unavailable: Verdict = { deny: "audit_unavailable", retryAfterSeconds: 1 };

function gate(x: Exchange, required: boolean, { writer }: Journal): Verdict {
  if (required && writer.isFailing) return unavailable;
  if (!isAdminWrite(x)) return "pass";
  // Asked of the disk itself: nothing is changed whose record could not be kept.
  return writer.flush(true, true) ? "pass" : unavailable;
}

function isAdminWrite({ surface, method }: Exchange): boolean {
  return surface === "admin" && method !== "GET" && method !== "HEAD";
}

function toEntry(event: SecurityEvent, atMs: number): AuditEntry {
  const { type, result, provider = "", userId = "", ip = "", requestId = "" } = event;
  return { atMs, type, provider, userId, ip, result, details: event.details ?? {}, requestId };
}

/** One record for each attempt: a provider that failed was asked, too. */
function toProviderRequest(
  x: Exchange,
  { provider, model, credentialId, index }: Attempt,
  { kind, status, usage, bytes: size, durationMs }: AttemptResult,
  atMs: number,
): AuditEntry {
  const tokens = usage && { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens };
  const details = {
    ...{ surface: x.surface, model, status, attempt: index, credential: credentialId },
    ...tokens,
    ...{ bytes: size, duration_ms: Math.round(durationMs) },
  };
  const userId = x.principal?.userId ?? "";
  const who = { provider, userId, ip: x.ip, requestId: x.id };
  return { atMs, type: "provider_request", result: kind, details, ...who };
}

/** A policy has answered in a provider's place. */
function toOwnAnswer(
  x: Exchange,
  { status, model = "", bytes }: Outcome,
  policy: string,
  atMs: number,
): AuditEntry {
  const details = { surface: x.surface, model, status, policy, bytes };
  const who = { provider: "", userId: x.principal?.userId ?? "", ip: x.ip, requestId: x.id };
  return { atMs, type: "provider_request", result: "answered", details, ...who };
}

function offerGauges({ writer }: Journal, host: PolicyHost): void {
  const offer = (name: string, help: string, read: () => number): void =>
    host.gauge(`cliproxy_audit_${name}`, help, [], (set) => set(read()));
  const { counts } = writer;
  offer("writable", "1: the last write to the audit log succeeded.", () =>
    Number(!writer.isFailing),
  );
  offer("queue_records", "Audit records that wait to be written.", () => writer.queued);
  offer("records_total", "Audit records written.", () => counts.records);
  offer("lost_records_total", "Audit records lost.", () => counts.lost);
  offer("write_failures_total", "Writes of the audit log that failed.", () => counts.failures);
}
