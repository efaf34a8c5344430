import type { SecurityEvent } from "../contract/policy.ts";

/** Hooks that a policy from disk may have. */
export const scriptHooks = [
  "request",
  "call",
  "attempt",
  "attemptEnd",
  "response",
  "finish",
  "event",
] as const;
export type ScriptHook = (typeof scriptHooks)[number];

/** What a module says of itself, as plain data. */
export interface Described {
  readonly summary: string;
  readonly stage: string;
  readonly onFault: string;
  readonly surfaces: unknown;
  readonly streams: unknown;
  readonly admin: unknown;
  readonly texts: boolean;
  readonly hasConfig: boolean;
}

/** Something in its settings that a policy's schema refuses. */
export interface SettingsIssue {
  readonly path: readonly string[];
  readonly message: string;
}

export interface Failure {
  readonly message: string;
  readonly stack: string;
}

/** From the house to the thread. */
export type ToThread =
  | {
      readonly t: "load";
      readonly code: string;
      readonly mark: Int32Array;
      readonly granted: readonly string[];
    }
  | { readonly t: "create"; readonly settings: unknown; readonly facts: ThreadFacts }
  | {
      readonly t: "hook";
      readonly id: number;
      readonly hook: ScriptHook;
      readonly args: readonly unknown[];
    }
  | {
      readonly t: "reply";
      readonly id: number;
      readonly value: unknown;
      readonly failed: string | undefined;
    }
  | { readonly t: "ping" }
  | { readonly t: "dispose" };

export interface ThreadFacts {
  readonly name: string;
  readonly serving: boolean;
  readonly providers: readonly string[];
}

/** From the thread to the house. */
export type FromThread =
  | { readonly t: "loaded"; readonly described: Described }
  | { readonly t: "created"; readonly hooks: readonly ScriptHook[] }
  | { readonly t: "issues"; readonly issues: readonly SettingsIssue[] }
  | { readonly t: "failed"; readonly failure: Failure }
  | { readonly t: "verdict"; readonly id: number; readonly verdict: unknown }
  | { readonly t: "threw"; readonly id: number; readonly failure: Failure }
  | {
      readonly t: "store";
      readonly id: number;
      readonly op: string;
      readonly args: readonly unknown[];
    }
  | {
      readonly t: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
      readonly fields: unknown;
    }
  | { readonly t: "emit"; readonly event: SecurityEvent }
  | { readonly t: "count"; readonly event: string; readonly by: number }
  | { readonly t: "pong"; readonly heapBytes: number }
  | { readonly t: "disposed" };
