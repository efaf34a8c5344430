import { spawnSync } from "node:child_process";
import type { ProxyRuntime } from "../harness/proxy.ts";

/** What every behaviour is asked of, and where one truly differs: what it does instead. */
export interface Target {
  readonly runtime: ProxyRuntime;
  /** As `cliproxy version --json` tells it. */
  readonly name: "bun" | "node" | "deno";
  readonly compiled: boolean;
  /** Headers that the HTTP client adds where ours and the client's lack them. */
  readonly addsUpstream: readonly string[];
  /** Headers that the HTTP server adds to an answer on a connection that is kept. */
  readonly addsDown: readonly string[];
  /** Warnings of a start with the usual configuration. */
  readonly warns: readonly string[];
  /** What becomes of an answer whose head is longer than 64 KiB. */
  readonly toLongAnswerHead: 200 | 502;
  /** How CONNECT is turned away; the empty text is a connection closed without an answer. */
  readonly toConnect: RegExp;
  /** What a head that does not end is told when its time is over. */
  readonly toSlowHead: RegExp;
}

const byBun = {
  name: "bun",
  addsUpstream: ["accept", "user-agent"],
  addsDown: [],
  warns: [],
  toLongAnswerHead: 200,
  toConnect: /^HTTP\/1\.1 4/,
  toSlowHead: /^$/,
} as const;

const byNodeHttp = {
  compiled: false,
  addsUpstream: [],
  addsDown: ["keep-alive"],
  toLongAnswerHead: 502,
  toConnect: /^$/,
  toSlowHead: /^HTTP\/1\.1 408/,
} as const;

/** Node 20 has no SQLite. */
const hasSqlite = spawnSync("node", ["-e", "require('node:sqlite')"]).status === 0;
const lacksSqlite =
  "this runtime has no SQLite: counters and lists are forgotten when the process ends";

export const targets: readonly Target[] = [
  { runtime: "binary", compiled: true, ...byBun },
  { runtime: "bun", compiled: false, ...byBun },
  { runtime: "node", name: "node", warns: hasSqlite ? [] : [lacksSqlite], ...byNodeHttp },
  { runtime: "deno", name: "deno", warns: [], ...byNodeHttp },
];

/** For `each`: the name in the title, the target behind it. */
export const byRuntime = targets.map((target) => [target.runtime, target] as const);
