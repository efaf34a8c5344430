/** What is asked of every target. The names are those of the research kit. */
import type { BodyName } from "./bodies.ts";

export interface LoadScenario {
  readonly mode: "sat" | "rate" | "sse" | "hold";
  readonly about: string;
  readonly body: BodyName;
  readonly connections: number;
  readonly perSecond?: number;
  /** Replies below this many bytes are counted as short. */
  readonly shortest?: number;
  readonly seconds?: number;
  readonly newConnections?: boolean;
}

const small = { body: "1k", shortest: 1000 } as const;
const large = { body: "100k", shortest: 3000 } as const;
const huge = { body: "1m", shortest: 3000 } as const;

export const scenarios: Readonly<Record<string, LoadScenario>> = {
  a: { mode: "sat", about: "1 KB, 32 connections", ...small, connections: 32 },
  b: { mode: "sat", about: "100 KB, 16 connections", ...large, connections: 16 },
  d: { mode: "sat", about: "1 MB, 4 connections", ...huge, connections: 4 },
  a1: { mode: "sat", about: "1 KB, one connection", ...small, connections: 1 },
  b1: { mode: "sat", about: "100 KB, one connection", ...large, connections: 1 },
  k: {
    mode: "sat",
    about: "1 KB, a new connection for each",
    ...small,
    connections: 16,
    newConnections: true,
  },
  ra: { mode: "rate", about: "1 KB, 100/s", ...small, connections: 8, perSecond: 100 },
  rb: { mode: "rate", about: "100 KB, 20/s", ...large, connections: 8, perSecond: 20 },
  f50: { mode: "sse", about: "50 streams without pauses", body: "unpaced", connections: 50 },
  p1: { mode: "sse", about: "1 stream, 10 ms", body: "paced", connections: 1, seconds: 6 },
  p50: { mode: "sse", about: "50 streams, 10 ms", body: "paced", connections: 50, seconds: 6 },
  p500: { mode: "sse", about: "500 streams, 10 ms", body: "paced", connections: 500, seconds: 5 },
  h500: { mode: "hold", about: "500 held streams", body: "held", connections: 500, seconds: 8 },
  h2000: {
    mode: "hold",
    about: "2,000 held streams",
    body: "held",
    connections: 2000,
    seconds: 12,
  },
};

/** Scenarios of their own: see start-time.ts and vanish.ts. */
export const startScenario = "start";
export const vanishScenario = "vanish";
