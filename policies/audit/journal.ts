import type { SecurityEvent } from "../../src/contract/policy.ts";
import type { AuditEntry } from "../../src/kit/audit-chain.ts";
import { Sampler, windowMs } from "./sampler.ts";
import { AuditWriter, type WriterParts } from "./writer.ts";

/** What strangers can cause: only these are sampled. */
const sampled: ReadonlySet<string> = new Set([
  "auth_failure",
  "security_violation",
  "suspicious_activity",
] satisfies readonly SecurityEvent["type"][]);

/** One log of the process, which generations of the configuration share. */
export class Journal {
  readonly writer: AuditWriter;
  readonly #parts: WriterParts;
  readonly #sampler: Sampler;
  #holders = 0;
  #timer: { cancel(): void } | undefined = undefined;

  /** @throws the system's error when the log can't be opened */
  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.writer = new AuditWriter(parts);
    this.#sampler = new Sampler(parts.clock.mono());
  }

  hold(): void {
    this.#holders += 1;
  }

  /** Closes the log with its last holder; true: it is closed. */
  release(): boolean {
    this.#holders -= 1;
    if (this.#holders > 0) return false;
    this.#tell(this.#sampler.end(this.#parts.clock.mono()));
    this.#timer?.cancel();
    this.writer.close();
    return true;
  }

  /** Takes a record, or counts it where there are too many of its kind. */
  record(entry: AuditEntry): void {
    if (!sampled.has(entry.type)) {
      this.writer.add(entry);
      return;
    }
    this.#tell(this.#sampler.turn(this.#parts.clock.mono()));
    if (this.#sampler.admit(entry.type, entry.ip)) this.writer.add(entry);
    else this.#timer ??= this.#parts.timer(() => this.#turn(), windowMs);
  }

  #turn(): void {
    this.#timer = undefined;
    this.#tell(this.#sampler.end(this.#parts.clock.mono()));
  }

  #tell(left: ReturnType<Sampler["end"]>): void {
    const atMs = this.#parts.clock.now();
    for (const { type, address, count } of left) {
      const who = { provider: "", userId: "", ip: address, requestId: "" };
      const details = { count, reason: "more than were recorded one by one" };
      this.writer.add({ atMs, type, result: "repeated", details, ...who });
    }
  }
}
