import type { AuditEntry } from "../../src/kit/audit-chain.ts";
import type { WriterParts } from "./writer.ts";

type Details = AuditEntry["details"];

/** The same alarm is raised once in so many milliseconds: a second writer would fill the log. */
const alarmMs = 60_000;

/** Tells that somebody else seems to have changed the log. */
export class Alarms {
  /** Undefined while nobody listens: the first alarms are raised while the log is opened. */
  hear: ((result: string, details: Details) => void) | undefined = undefined;
  readonly #parts: WriterParts;
  readonly #afterMs = new Map<string, number>();
  readonly #untold: (readonly [result: string, details: Details])[] = [];

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** Whether some are yet to be told. */
  get waiting(): boolean {
    return this.#untold.length > 0;
  }

  /** False: the same was raised a short while ago. */
  raise(result: string, details: Details): boolean {
    const { clock, log, path } = this.#parts;
    const nowMs = clock.mono();
    if (nowMs < (this.#afterMs.get(result) ?? 0)) return false;
    this.#afterMs.set(result, nowMs + alarmMs);
    this.#untold.push([result, details]);
    log.error("audit log was changed by somebody else", { path, what: result, ...details });
    return true;
  }

  tell(): void {
    if (this.hear === undefined) return;
    for (const [result, details] of this.#untold.splice(0)) this.hear(result, details);
  }
}
