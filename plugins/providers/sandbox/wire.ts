import { randomUUID } from "node:crypto";
import type { Dialect, LocalRequest } from "../../../src/contract/plugin.ts";
import type { Surface } from "../../../src/contract/types.ts";

/** How the sandbox speaks on one surface of one dialect. */
export interface Wire {
  readonly dialect: Dialect;
  readonly surface: Surface;
  speak(asked: Asked): Spoken;
}

/** A request whose body was parsed: an empty object when it holds none. */
export interface Asked extends LocalRequest {
  readonly json: Readonly<Record<string, unknown>>;
}

export type Spoken =
  | { readonly whole: object }
  | {
      readonly pieces: Iterator<string>;
      /** Content type of the stream; absent: an event stream. */
      readonly type?: string;
    }
  /** A sentence that says what is wrong and how to mend it. */
  | { readonly refused: string }
  /** An error with members that only this API has. */
  | { readonly status: number; readonly error: object };

/** The sandbox has no clock: all its answers are of the day it was made. */
export const created = Date.UTC(2026, 10, 25) / 1000;

/** An event without a name. */
export function toData(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** An event whose name is its type. */
export function toEvent(data: { readonly type: string; readonly [key: string]: unknown }): string {
  return `event: ${data.type}\n${toData(data)}`;
}

export function newId(prefix: string): string {
  return `${prefix}sandbox_${randomUUID().replaceAll("-", "")}`;
}
