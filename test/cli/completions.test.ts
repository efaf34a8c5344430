import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commands } from "../../src/cli/commands.ts";
import { toCompletionTree } from "../../src/cli/completion-tree.ts";
import { shells } from "../../src/cli/completions.ts";
import { runCaptured } from "./capture.ts";

const dir = mkdtempSync(join(tmpdir(), "cliproxy-completions-"));
writeFileSync(join(dir, "my config.yaml"), "");
writeFileSync(join(dir, "other.yaml"), "");
const scripts: Record<string, string> = {};
for (const shell of shells) {
  const { out } = await runCaptured(["completions", shell]);
  scripts[shell] = out;
  writeFileSync(join(dir, `script.${shell}`), out);
}

function has(shell: string): boolean {
  return spawnSync(shell, ["--version"]).status === 0;
}

const top = [
  ...["serve", "check", "doctor", "healthcheck", "version", "keys", "auths", "tls", "policies"],
  ...["audit", "completions", "help"],
];
const globals = ["--config", "--json", "--help"];

/** A command line whose last word is being typed, and what may stand there. */
const cases: readonly (readonly [words: readonly string[], expected: readonly string[]])[] = [
  [[""], top],
  [["keys", ""], ["new"]],
  [
    ["policies", ""],
    ["list", "plan", "lock"],
  ],
  [["policies", "p"], ["plan"]],
  [
    ["keys", "new", "--"],
    ["--id", "--user", ...globals],
  ],
  [["serve", "--p"], ["--port"]],
  [
    ["completions", ""],
    ["bash", "zsh", "fish"],
  ],
  [["completions", "z"], ["zsh"]],
  [["help", "po"], ["policies"]],
  [["help", "keys", ""], ["new"]],
  [["--config", "my"], ["my config.yaml"]],
  [["--config", "other.yaml", "keys", ""], ["new"]],
  [["serve", "--config", "ot"], ["other.yaml"]],
  [["serve", "--host", ""], []],
  [["audit", ""], ["verify"]],
  [["audit", "verify", "my"], ["my config.yaml"]],
  [["audit", "verify", "other.yaml", "my"], ["my config.yaml"]],
  [["audit", "verify", "--k"], ["--key"]],
  [["audit", "verify", "--key", "ot"], ["other.yaml"]],
  [["bogus", ""], []],
];

describe.if(has("bash"))("bash", () => {
  const ask = (words: readonly string[]): string[] => {
    const program = `set -u; source ./script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cliproxy; printf '%s\\n' "\${COMPREPLY[@]-}"`;
    const args = ["--norc", "-c", program, "bash", "cliproxy", ...words];
    const { stdout, stderr } = spawnSync("bash", args, { cwd: dir, encoding: "utf8" });
    expect(stderr).toBe("");
    return stdout.split("\n").filter((line) => line !== "");
  };
  test.each(cases)("%j", (words, expected) => {
    expect(ask(words).sort()).toEqual([...expected].sort());
  });

  // Bash itself splits --config=my into three words.
  test("--name=value", () => {
    expect(ask(["serve", "--config", "=", "my"])).toEqual(["my config.yaml"]);
    expect(ask(["--config", "=", "other.yaml", "keys", ""])).toEqual(["new"]);
  });

  test("nothing that is typed is run", () => {
    expect(ask(["$(touch pwned)", "`touch pwned`", "--config", "$(touch pwned)"])).toEqual([]);
    expect(spawnSync("ls", [dir], { encoding: "utf8" }).stdout).not.toContain("pwned");
  });
});

describe.if(has("fish"))("fish", () => {
  test.each(cases)("%j", (words, expected) => {
    const line = ["cliproxy", ...words].join(" ");
    const args = ["-N", "-c", `source script.fish; complete -C "${line}"`];
    const env = { ...process.env, HOME: dir, XDG_CONFIG_HOME: dir };
    const { stdout, stderr } = spawnSync("fish", args, { cwd: dir, encoding: "utf8", env });
    expect(stderr).toBe("");
    const words_ = stdout
      .split("\n")
      .map((offer) => (offer.split("\t")[0] ?? "").replaceAll("\\", ""));
    expect(words_.filter((word) => word !== "").sort()).toEqual([...expected].sort());
  });
});

describe.if(has("zsh"))("zsh", () => {
  /** A real shell in a pseudo terminal: types the line and a tab, waits for what must show. */
  const program = `
    zmodload zsh/zpty
    zpty z "TERM=dumb zsh -f -i"
    zpty -w z "PS1=; autoload -Uz compinit; compinit -u -D; source ./script.zsh; bindkey '^I' complete-word; setopt autolist nolistambiguous; echo READ''Y"
    zpty -r -m z out '*READY*'
    zpty -w -n z "$1"$'\\t'
    out=""
    for i in {1..60}; do
      sleep 0.05
      while zpty -r -t z chunk; do out+=$chunk; done
      [[ "$out" == *"$2"* ]] && break
    done
    print -r -- "$out"`;
  const lines: readonly (readonly [typed: string, shown: string])[] = [
    ["cliproxy pol", "cliproxy policies "],
    ["cliproxy keys ", "cliproxy keys new "],
    ["cliproxy keys new --", "--user"],
    ["cliproxy --config oth", "--config other.yaml "],
    ["cliproxy --config other.yaml serve --po", "serve --port="],
    ["cliproxy completions f", "completions fish "],
  ];
  test.each(lines)(
    "%s",
    (typed, shown) => {
      const args = ["-f", "-c", program, "zsh", typed, shown];
      const { stdout } = spawnSync("zsh", args, { cwd: dir, encoding: "utf8", timeout: 8000 });
      expect(stdout).toContain(shown);
    },
    10_000,
  );
});

describe("the scripts", () => {
  test("name every command and option", () => {
    for (const shell of shells) {
      for (const { name, options } of commands) {
        expect(scripts[shell]).toContain(name);
        for (const option of Object.keys(options)) expect(scripts[shell]).toContain(option);
      }
    }
  });

  test("a word that a shell would run is refused", () => {
    const evil = { name: "a$(id)", summary: "", options: {}, load: () => Promise.reject() };
    expect(() => toCompletionTree([evil])).toThrow("can't be completed");
  });

  test("a summary with quotes, brackets and colons breaks no script", async () => {
    const summary = 'it\'s [a] `b` $(id) "c": \\d; 100%';
    const load = async () => ({ run: (await import("../../src/cli/completions.ts")).run });
    const table = commands.map((command) => ({
      ...command,
      summary,
      options: { opt: { type: "string" as const, summary } },
      load: command.name === "completions" ? load : command.load,
    }));
    for (const shell of shells) {
      if (!has(shell)) continue;
      const { out } = await runCaptured(["completions", shell], { commands: table });
      const checked = spawnSync(shell, ["-n"], { input: out, encoding: "utf8" });
      expect([shell, checked.status, checked.stderr]).toEqual([shell, 0, ""]);
    }
  });
});
