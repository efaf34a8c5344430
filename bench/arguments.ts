/** The command line of the bench. */
import { parseArgs } from "node:util";
import { subjects } from "./promises.ts";
import { scenarios, startScenario, vanishScenario } from "./scenarios.ts";

export interface Options {
  readonly targets: readonly string[];
  readonly scenarios: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly table: boolean;
  readonly json: string | undefined;
  readonly mockPort: number;
  readonly basePort: number;
  readonly proxyCpu: number;
  readonly binary: string | undefined;
}

export const allTargets = ["direct", "bun-fetch", "nginx", "portkey", ...subjects];
const tableScenarios = ["a", "b", "p50", "p500", "h2000", vanishScenario, startScenario];
const allScenarios = [...Object.keys(scenarios), vanishScenario, startScenario];

export const help = `usage: npm run bench -- [options]

  --table              measure what is promised, print it with verdicts; exit code 1 when a
                       ceiling is crossed or a row could not be measured
  --targets A,B        ${allTargets.join(", ")} (default: all)
  --scenarios A,B      ${allScenarios.join(" ")}
                       (default: a,b,ra,rb,p50; with --table: ${tableScenarios.join(",")})
  --rounds N           interleaved rounds of each scenario (default: 3)
  --seconds N          length of a measurement (default: 3)
  --json FILE          also write every measurement as JSON
  --mock-port N        port of the mock upstream (default: 9000)
  --base-port N        the targets listen on the ports from here on (default: 9100)
  --proxy-cpu N        core of the proxies (default: $PROXY_CPU or 0); the load and the mock
                       run on $LOAD_CPU (default: 1)
  --binary FILE        the proxy (default: $CLIPROXY_BINARY or dist/cliproxy)
`;

/** Wrong use of the command line. */
export class UsageError extends Error {}

export function parseArguments(args: readonly string[]): Options | "help" {
  const { values } = read(args);
  if (values.help) return "help";
  const table = values.table ?? false;
  const defaults = table ? tableScenarios.join() : "a,b,ra,rb,p50";
  return {
    targets: names("targets", values.targets ?? allTargets.join(), allTargets),
    scenarios: names("scenarios", values.scenarios ?? defaults, allScenarios),
    rounds: positive("rounds", values.rounds ?? "3"),
    seconds: positive("seconds", values.seconds ?? "3"),
    table,
    json: values.json,
    mockPort: positive("mock-port", values["mock-port"] ?? "9000"),
    basePort: positive("base-port", values["base-port"] ?? "9100"),
    proxyCpu: Number(values["proxy-cpu"] ?? process.env.PROXY_CPU ?? 0),
    binary: values.binary ?? process.env.CLIPROXY_BINARY,
  };
}

function read(args: readonly string[]) {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", short: "h" },
        table: { type: "boolean" },
        targets: text,
        scenarios: text,
        rounds: text,
        seconds: text,
        json: text,
        "mock-port": text,
        "base-port": text,
        "proxy-cpu": text,
        binary: text,
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function names(option: string, text: string, known: readonly string[]): string[] {
  const chosen = text.split(",").filter((name) => name !== "");
  const unknown = chosen.find((name) => !known.includes(name));
  if (unknown === undefined) return chosen;
  throw new UsageError(`--${option}: there is no ${unknown}; known: ${known.join(", ")}`);
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`--${option}: ${text} is no positive number`);
}
