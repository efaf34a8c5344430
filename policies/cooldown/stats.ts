import type { Attempt, AttemptResult } from "../../src/contract/policy.ts";

/** How much the latest first byte counts in the mean. */
const weight = 0.2;
/** Most credentials that are counted. */
const mostCredentials = 4096;

/** How the attempts of one credential went since the process began. */
export interface CredentialStats {
  readonly provider: string;
  readonly credential: string;
  ok: number;
  failed: number;
  /** Of the last answer; 0: none came. */
  lastStatus: number;
  /** Moving mean of the time to the first byte, in milliseconds; undefined: none came yet. */
  latencyMs: number | undefined;
}

export class ProviderStats {
  readonly #byProvider = new Map<string, Map<string, CredentialStats>>();
  #count = 0;

  note(attempt: Attempt, { kind, cause, status, firstByteMs }: AttemptResult): void {
    if (kind === "unsent") return;
    const stats = this.#of(attempt);
    if (stats === undefined) return;
    stats.lastStatus = status;
    if (kind === "ok" || cause === "request") stats.ok++;
    else if (kind !== "aborted") stats.failed++;
    if (kind !== "ok" || firstByteMs === undefined) return;
    const known = stats.latencyMs ?? firstByteMs;
    stats.latencyMs = known + weight * (firstByteMs - known);
  }

  of(provider: string): readonly CredentialStats[] {
    return [...(this.#byProvider.get(provider)?.values() ?? [])];
  }

  #of({ provider, credentialId: credential }: Attempt): CredentialStats | undefined {
    let known = this.#byProvider.get(provider);
    if (known === undefined) {
      known = new Map();
      this.#byProvider.set(provider, known);
    }
    const found = known.get(credential);
    if (found !== undefined || this.#count >= mostCredentials) return found;
    this.#count++;
    const made = { provider, credential, ok: 0, failed: 0, lastStatus: 0, latencyMs: undefined };
    known.set(credential, made);
    return made;
  }
}
