import type { ScriptHook } from "./messages.ts";

/** A hook that was asked of a thread and has not answered. */
export interface Asked {
  readonly id: number;
  /** `dispose` is asked once, at the end. */
  readonly hook: ScriptHook | "dispose";
  readonly args: readonly unknown[];
  resolve(verdict: unknown): void;
  reject(error: Error): void;
  /** Monotonic milliseconds. */
  atMs: number;
  /** How often it was asked again, since another one had ended the thread. */
  repeats: number;
}
