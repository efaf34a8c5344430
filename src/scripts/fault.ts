import type { Failure } from "./messages.ts";

/** A policy from disk failed; its stack names its own file. */
export class ScriptFault extends Error {
  constructor(message: string, stack?: string) {
    super(message);
    this.name = "ScriptFault";
    this.stack = stack ?? "";
  }

  static of({ message, stack }: Failure): ScriptFault {
    return new ScriptFault(message, stack);
  }
}
