import type { Finding } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import type { Area } from "./area.ts";
import type { Facts } from "./facts.ts";

const kinds = {
  "config-broken": {
    severity: "critical",
    title: "the configuration can't be used",
    why: "No start and no reload takes it; what needs its settings could not be looked at.",
    mend: "correct it; `cliproxy check` shows each place",
  },
  "config-absent": {
    severity: "info",
    title: "there is no configuration",
    why: "The safe defaults stand: loopback, one generated key, and a sandbox that calls nobody.",
    mend: "write config.yaml; config.example.yaml has every key",
  },
  "config-sandbox": {
    severity: "info",
    title: "the sandbox answers beside real providers, or alone",
    why: "It is for trying things out: what it says is made up.",
    mend: "remove the sandbox from providers in production",
  },
  "config-warning": {
    severity: "low",
    title: "the start warns of something",
    why: "It is the line that `serve` and `check` print.",
    mend: "see the line itself",
  },
  "config-gap": {
    severity: "low",
    title: "the runtime can't do what others can",
    why: "What it leaves undone is not enforced on it.",
    mend: "use the executable, which has no gaps by design, or read docs/runtimes.md",
  },
} as const;
const found = finder(kinds);

/** Whether the configuration can be used, and what a start would warn of. */
export const config: Area = {
  name: "config",
  summary: "whether the configuration can be used, and what a start would warn of",
  kinds,
  check({ config: { file, problems, warnings, plan } }) {
    const gaps = plan?.gaps.map(({ key, what }) => `${key} ${what}`) ?? [];
    return [
      ...problems.map(({ file: name, line, column, path, message, mend }) => {
        const where = [`${name}:${line}:${column}`, path].filter((part) => part !== "").join("  ");
        const more = mend === "" ? {} : { mend };
        return found("config-broken", `${where}  ${message}`, more);
      }),
      ...(file === undefined && problems.length === 0 ? [found("config-absent", "defaults")] : []),
      ...sandbox(plan),
      ...gaps.map((gap) => found("config-gap", gap)),
      ...warnings
        .filter((one) => !gaps.includes(one) && !toldByFiles.test(one))
        .map((one) => found("config-warning", one)),
    ];
  },
};

/** The area of files says it better. */
const toldByFiles = /: others (?:may|can) read (?:it: chmod 600|or change it)$/;

function sandbox(plan: Facts["config"]["plan"]): Finding[] {
  const names = plan?.providers.filter(({ protocol }) => protocol === "sandbox") ?? [];
  return names.map(({ name }) => found("config-sandbox", `the provider ${name}`));
}
