import { readFileSync } from "node:fs";
import type { ConfigSource } from "../assembly.ts";
import { findConfigFile } from "../config/load.ts";
import type { Logger } from "../contract/types.ts";
import type { House } from "../host.ts";
import { systemClock } from "../kit/clock.ts";
import { Live } from "../live.ts";
import type { CommandContext } from "./frame.ts";

/** Everything that a process has one of. */
export function createHouse(log: Logger): House {
  return {
    clock: systemClock,
    log,
    live: new Live(systemClock),
    kept: new Map(),
    budget: { held: 0 },
    announcements: [],
    draining: false,
    reloadRejected: false,
  };
}

/** The configuration that the command line and the environment point to. */
export function configSource(context: CommandContext): ConfigSource {
  const { options, env } = context;
  const file = findConfigFile(options["config"] as string | undefined, env);
  const host = options["host"] as string | undefined;
  const port = options["port"] as string | undefined;
  return {
    file,
    text: file === undefined ? "" : readFileSync(file, "utf8"),
    env,
    overrides: {
      ...(host !== undefined && { host }),
      ...(port !== undefined && { port: Number(port) }),
    },
  };
}
