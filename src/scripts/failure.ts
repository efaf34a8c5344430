import { Buffer } from "node:buffer";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import type { Failure } from "./messages.ts";

/** A frame in a bundle: its module has no name but its own text. */
const bundleFrame = /data:text\/javascript;base64,[\w+/=.]*:(\d+):(\d+)/g;
const inlineMap = /\/\/# sourceMappingURL=data:application\/json[^,]*;base64,([\w+/=]+)/;

/** Longest stack that is told, in characters. */
const stackCharacters = 4096;

/**
 * An error as plain data, its stack in terms of the policy's own files.
 * @param code the bundle with its map, for runtimes that don't read that themselves
 */
export function toFailure(error: unknown, code: string): Failure {
  try {
    if (!(error instanceof Error)) return { message: String(error), stack: "" };
    const stack = String(error.stack);
    return {
      message: String(error.message),
      stack: (stack.includes("data:") ? inSources(stack, code) : stack).slice(0, stackCharacters),
    };
  } catch {
    return { message: "failed with an unreadable error", stack: "" };
  }
}

function inSources(stack: string, code: string): string {
  const encoded = inlineMap.exec(code)?.[1];
  const map = encoded && new TraceMap(Buffer.from(encoded, "base64").toString("utf8"));
  return stack.replace(bundleFrame, (_frame, line: string, column: string) => {
    const place = { line: Number(line), column: Number(column) - 1 };
    const origin = map ? originalPositionFor(map, place) : undefined;
    if (origin === undefined || origin.source === null) return `policy:${line}:${column}`;
    return `${origin.source}:${origin.line}:${(origin.column ?? 0) + 1}`;
  });
}
