import { hash } from "node:crypto";
import * as v from "valibot";
import type { AdminHandler, AdminReply } from "../../src/contract/admin.ts";
import type { Deny, PolicyHost } from "../../src/contract/policy.ts";
import type { Store } from "../../src/contract/store.ts";
import { wanted } from "./operations.ts";

/** What the configuration says. */
export interface Configured {
  readonly enabled: boolean;
  readonly message: string | undefined;
  readonly retryAfterMs: number;
}

/** The little that is needed of a store. */
export type SwitchStore = Pick<Store, "put" | "get" | "flush">;

type Wanted = v.InferOutput<typeof wanted>;

const key = "switch";
const usualMessage = "The proxy is in maintenance. Try again later.";

/** What the management API last asked for; kept through reloads and restarts. */
export class MaintenanceSwitch {
  #asked: Wanted = { enabled: false };
  #loading: Promise<void> | undefined;

  /** Reads what an earlier process has kept; only the first time, since then it is known here. */
  load(store: SwitchStore): Promise<void> {
    this.#loading ??= this.#load(store).catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(store: SwitchStore): Promise<void> {
    const kept = await store.get(key);
    if (kept !== undefined) this.#asked = v.parse(wanted, JSON.parse(kept));
  }

  /** In force at once; kept for good when the promise resolves. */
  async set(asked: Wanted, store: SwitchStore): Promise<void> {
    this.#asked = asked;
    await store.put(key, JSON.stringify(asked));
    await store.flush();
  }

  /** Undefined: it is off. */
  refusal(configured: Configured): Deny | undefined {
    if (!configured.enabled && !this.#asked.enabled) return undefined;
    const { message, retry_after } = this.show(configured);
    return { deny: "maintenance", message, retryAfterSeconds: retry_after };
  }

  /** Either side turns it on; what was asked for at run time is worded there, too. */
  show({ enabled, message, retryAfterMs }: Configured) {
    const asked = this.#asked.enabled ? this.#asked : undefined;
    const source = asked === undefined ? (enabled ? "config" : null) : "api";
    return {
      enabled: source !== null,
      message: asked?.message ?? message ?? usualMessage,
      retry_after: asked?.retry_after ?? Math.ceil(retryAfterMs / 1000),
      source,
    };
  }
}

export function handlersOf(
  state: MaintenanceSwitch,
  configured: Configured,
  host: PolicyHost,
): Readonly<Record<string, AdminHandler>> {
  const reply = (): AdminReply => {
    const body = state.show(configured);
    return { body, version: versionOf(body) };
  };
  return {
    getMaintenance: reply,
    async setMaintenance({ body, mismatch }) {
      const asked = body as Wanted;
      const before = state.show(configured);
      const stale = mismatch(versionOf(before));
      if (stale !== undefined) return stale;
      if (!asked.enabled && configured.enabled) return setElsewhere;
      await state.set(asked, host.store);
      const now = reply();
      return { ...now, change: { what: "maintenance", before, after: now.body } };
    },
  };
}

/** The configuration can't be overruled unseen: whoever reads it must be able to believe it. */
const setElsewhere: Deny = {
  deny: "conflict",
  message:
    "The configuration turns maintenance on. Set server.maintenance_mode to false there; " +
    "it takes effect without a restart.",
};

function versionOf(shown: unknown): string {
  return hash("sha256", JSON.stringify(shown)).slice(0, 16);
}
