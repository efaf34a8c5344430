import { claimants, placeOf } from "../../assembly.ts";
import { ConfigFileError, loadConfig } from "../../config/load.ts";
import type { ConfigProblem } from "../../config/problems.ts";
import { StoreFault } from "../../kit/auth-store.ts";
import type { AuthPlace } from "../../vault.ts";
import { type CommandContext, exitCodes, fail, type Io } from "../frame.ts";
import { configSource, refuseConfig } from "../house.ts";

export type Env = CommandContext["env"];

/** Does something with the credentials that the configuration names, and tells what went wrong. */
export async function withPlace(
  context: CommandContext,
  work: (place: AuthPlace) => Promise<number> | number,
): Promise<number> {
  const { io } = context;
  const place = findPlace(context);
  if (!("dir" in place)) return refuseConfig(io, place);
  try {
    return await work(place);
  } catch (error) {
    if (error instanceof StoreFault) return tellFault(io, error);
    throw error;
  }
}

function findPlace(context: CommandContext): AuthPlace | readonly ConfigProblem[] {
  const source = configSource(context);
  const input = { text: source.text, file: source.file ?? "(defaults)" };
  const config = loadConfig(input, source.env, claimants);
  if (!config.ok) return config.problems;
  const place = placeOf(config);
  return "message" in place ? [place] : place;
}

/** Encryption that a command needs and the configuration does not enable. */
export function needsKey(): ConfigFileError {
  return new ConfigFileError({
    ...{ file: "auth.encryption", line: 1, column: 1, path: "auth.encryption" },
    message: "is not enabled: there is no key to encrypt with",
    mend: "set enabled: true and a key",
  });
}

function tellFault(io: Io, { code, message, mend }: StoreFault): number {
  const exit = code === "bad_credential" ? exitCodes.wrongUsage : exitCodes.finding;
  return fail(io, { code, message, mend: mend === "" ? "see `cliproxy help auths`" : mend }, exit);
}
