import { describe, expect, test } from "bun:test";
import { commands } from "../../src/cli/commands.ts";
import { type Command, type CommandContext, exitCodes } from "../../src/cli/frame.ts";
import { takesColor, wrap } from "../../src/cli/terminal.ts";
import { runCaptured } from "./capture.ts";

const seen: CommandContext[] = [];
const options: Command["options"] = {
  name: { type: "string", value: "NAME", summary: "a name" },
  level: { type: "string", values: ["low", "high"], summary: "a level" },
  tag: { type: "string", multiple: true, summary: "a tag" },
  cache: { type: "boolean", negatable: true, summary: "use the cache" },
  even: {
    type: "string",
    summary: "an even number",
    check: (value) => (Number(value) % 2 === 0 ? undefined : "is odd"),
  },
};
const fakes: readonly Command[] = [
  {
    name: "echo",
    summary: "tell what it got",
    options,
    positionals: [
      { name: "first", summary: "a place", optional: true },
      { name: "rest", summary: "more places", optional: true, multiple: true },
    ],
    load: async () => ({
      run(context) {
        seen.push(context);
        return 0;
      },
    }),
  },
  {
    name: "boxes open",
    summary: "fail",
    options: {},
    load: async () => ({
      run() {
        throw new Error("no\nsk-ant-api03-abcdefgh\u001b[2J");
      },
    }),
  },
  {
    name: "boxes find",
    summary: "find something",
    options: {},
    load: async () => ({ run: async () => exitCodes.finding }),
  },
  { name: "broken", summary: "not there", options: {}, load: () => Promise.reject("gone") },
];
const run = (argv: readonly string[], env = {}) => runCaptured(argv, { commands: fakes, env });

describe("options", () => {
  const cases: readonly (readonly [argv: string, expected: object, places?: readonly string[]])[] =
    [
      ["echo", {}],
      ["echo --name a", { name: "a" }],
      ["echo --name=a=b", { name: "a=b" }],
      ["echo --name=", { name: "" }],
      ["echo --name=--json", { name: "--json" }],
      ["echo --name -", { name: "-" }],
      ["--config f echo", { config: "f" }],
      ["--config=f echo --json", { config: "f", json: true }],
      ["--json echo", { json: true }],
      ["echo --cache", { cache: true }],
      ["echo --no-cache", { cache: false }],
      ["echo --no-cache --cache", { cache: true }],
      ["echo --tag a --tag=b", { tag: ["a", "b"] }],
      ["echo --level high", { level: "high" }],
      ["echo --even 4", { even: "4" }],
      ["echo x --name a y", { name: "a" }, ["x", "y"]],
      ["echo -- --name a", {}, ["--name", "a"]],
      ["echo --name a -- -h", { name: "a" }, ["-h"]],
      ["-- echo x", {}, ["x"]],
      ["echo echo", {}, ["echo"]],
    ];
  test.each(cases)("%s", async (line, expected, places = []) => {
    expect(await run(line.split(" "))).toEqual({ code: 0, out: "", err: "" });
    expect({ ...seen.at(-1)?.options }).toEqual({ ...expected });
    expect(seen.at(-1)?.positionals).toEqual([...places]);
  });
});

describe("wrong usage ends with 2 and says how to mend it", () => {
  const cases: readonly (readonly [argv: readonly string[], expected: string])[] = [
    [["ecko"], "unknown command `ecko`; did you mean `echo`? (see `cliproxy help`)"],
    [["boxes", "opne"], "unknown command `boxes opne`; did you mean `boxes open`?"],
    [["zzzzzz"], "unknown command `zzzzzz` (see `cliproxy help`)"],
    [["help", "ecko"], "unknown command `ecko`; did you mean `echo`?"],
    [["echo", "--nmae", "a"], "unknown option `--nmae`; did you mean `--name`? (see `--help`)"],
    [["echo", "-x"], "unknown option `-x`"],
    [["--name", "a", "echo"], "unknown option `--name`"],
    [["echo", "--name"], "option `--name` needs a value (write `--name=NAME`)"],
    [["echo", "--name", "--json"], "option `--name` needs a value"],
    [["echo", "--name", "a", "--name", "b"], "option `--name` is given twice"],
    [["echo", "--cache=yes"], "option `--cache` takes no value"],
    [["echo", "--no-cache=yes"], "option `--no-cache` takes no value"],
    [["echo", "--no-name"], "unknown option `--no-name`"],
    [
      ["echo", "--level", "hihg"],
      "option `--level`: `hihg` is not one of its values; did you mean `high`? (one of",
    ],
    [["echo", "--even", "3"], "option `--even`: `3` is odd (an even number)"],
    [["boxes", "find", "x"], "`boxes find` takes no argument `x`"],
    [["echo", "--__proto__"], "unknown option `--__proto__`"],
    [["echo", "--constructor=1"], "unknown option `--constructor`"],
    [["toString"], "unknown command `toString`"],
    [["a\u001b[31m\nb"], "unknown command `a\\u001b[31m\\nb`"],
    [["sk-ant-api03-abcdefgh"], "unknown command `[secret]`"],
    [["--sk-ant-api03-abcdefgh"], "unknown option `--[secret]`"],
    [["x".repeat(1e5)], `unknown command \`${"x".repeat(128)}\``],
  ];
  test.each(cases)("%j", async (argv, expected) => {
    const { code, out, err } = await run(argv);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    const text = err.startsWith("cliproxy: ") ? err.slice(10) : err;
    if (!err.includes('{"error"')) expect(text).toStartWith(expected);
    else expect(JSON.parse(err).error.message).toStartWith(expected);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("as JSON when asked", async () => {
    const { code, err } = await run(["ecko", "--json"]);
    expect(code).toBe(2);
    expect(JSON.parse(err)).toEqual({
      error: {
        code: "unknown_command",
        message: "unknown command `ecko`; did you mean `echo`?",
        mend: "see `cliproxy help`",
      },
    });
    expect((await run(["ecko", "--", "--json"])).err).toStartWith("cliproxy: ");
  });
});

describe("help and version", () => {
  const cases: readonly (readonly [argv: string, code: number, to: "out" | "err", text: string])[] =
    [
      ["", 2, "err", "cliproxy <command> [options]"],
      ["boxes", 2, "err", "boxes open"],
      ["--help", 0, "out", "help [command]"],
      ["-h", 0, "out", "Exit codes"],
      ["help", 0, "out", "78  bad configuration"],
      ["help boxes", 0, "out", "boxes find"],
      ["boxes --help", 0, "out", "boxes find"],
      ["help echo", 0, "out", "cliproxy echo [first] [rest...] [options]"],
      ["echo --help", 0, "out", "--[no-]cache"],
      ["echo --nmae --help", 0, "out", "--level VALUE"],
      ["boxes open -h", 0, "out", "fail"],
      ["--version", 0, "out", "cliproxy 1.2.3\n"],
      ["--version --json", 0, "out", '{"version":"1.2.3"}\n'],
      ["--json", 2, "err", '"code":"missing_command"'],
      ["boxes --json", 2, "err", '"code":"missing_command"'],
      ["help echo --json", 0, "out", '{"commands":[{"name":"echo"'],
    ];
  test.each(cases)("`%s`", async (line, code, to, text) => {
    const result = await run(line.split(" ").filter((word) => word !== ""));
    expect(result.code).toBe(code);
    expect(result[to]).toContain(text);
    expect(result[to === "out" ? "err" : "out"]).toBe("");
  });

  test("fits the terminal, and is bold only there", async () => {
    for (const columns of [0, 60, 80, 500]) {
      const { out } = await runCaptured(["help", "keys", "new"], { columns });
      const limit = columns === 0 ? 80 : Math.min(columns, 100);
      const wide = out.split("\n").filter((line) => line.length > limit);
      expect(wide.filter((line) => !line.includes("cliproxy "))).toEqual([]);
      expect(out).not.toContain("\u001b");
    }
    const { out } = await runCaptured(["help"], { isTerminal: true });
    expect(out).toContain("\u001b[1mUsage\u001b[22m");
  });

  test("no line that is wrapped loses a word", () => {
    expect(wrap("one two three", 20, 0)).toBe("one two three");
    expect(wrap("aaaaaaaaaaaa bbbbbbbbbbbb c", 20, 2)).toBe("aaaaaaaaaaaa\n  bbbbbbbbbbbb c");
  });
});

describe("colour", () => {
  const cases: readonly (readonly [env: Record<string, string>, isTerminal: boolean, boolean])[] = [
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ TERM: "dumb" }, true, false],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "1", NO_COLOR: "1", TERM: "dumb" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
    [{ FORCE_COLOR: "false" }, true, false],
    [{ FORCE_COLOR: "" }, false, false],
  ];
  test.each(cases)("%j on a terminal: %p gives %p", (env, isTerminal, expected) => {
    expect(takesColor(env, isTerminal)).toBe(expected);
  });

  test("never in JSON", async () => {
    const { err } = await run(["ecko", "--json"], { FORCE_COLOR: "1" });
    expect(err).not.toContain("\u001b");
    expect((await run(["ecko"], { FORCE_COLOR: "1" })).err).toStartWith("\u001b[31mcliproxy:");
  });
});

describe("what a command does", () => {
  test("its number is the exit code", async () => {
    expect((await run(["boxes", "find"])).code).toBe(1);
  });

  test("a throw is one line, masked, without a stack: 70", async () => {
    const { code, out, err } = await run(["boxes", "open"]);
    expect({ code, out }).toEqual({ code: 70, out: "" });
    expect(err).toBe("cliproxy: no\\n[secret]\\u001b[2J\n");
  });

  test("with CLIPROXY_DEBUG=1 also the stack", async () => {
    const { err } = await run(["boxes", "open"], { CLIPROXY_DEBUG: "1" });
    expect(err).toMatch(/^cliproxy: no\\n\[secret\].*\n {2}at /);
    expect(err).not.toContain("sk-ant");
  });

  test("as JSON", async () => {
    const { err } = await run(["boxes", "open", "--json"]);
    expect(JSON.parse(err).error).toMatchObject({
      code: "failed",
      message: "no\\n[secret]\\u001b[2J",
    });
  });

  test("a command that can't be loaded", async () => {
    expect(await run(["broken"])).toEqual({ code: 70, out: "", err: "cliproxy: gone\n" });
  });
});

describe("the table", () => {
  test("has the commands that the specification names", () => {
    expect(commands.map(({ name }) => name)).toEqual([
      "serve",
      "check",
      "doctor",
      "healthcheck",
      "version",
      "keys new",
      "auths list",
      "auths add",
      "auths remove",
      "auths login",
      "auths encrypt",
      "auths rotate",
      "auths import",
      "tls new",
      "policies list",
      "policies plan",
      "policies lock",
      "audit verify",
      "completions",
    ]);
  });

  test("an option is of one type everywhere: completions count on it", () => {
    const types = new Map<string, string>();
    for (const { options: own } of commands) {
      for (const [name, { type }] of Object.entries(own)) {
        expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
        expect(types.get(name) ?? type).toBe(type);
        types.set(name, type);
      }
    }
  });

  const ports: readonly (readonly [string, boolean])[] = [
    ["0", true],
    ["8317", true],
    ["65535", true],
    ["65536", false],
    ["-1", false],
    ["1e3", false],
    ["0x50", false],
    ["", false],
    [" 80", false],
  ];
  test.each(ports)("--port=%s: %p", (value, good) => {
    const check = commands.find(({ name }) => name === "serve")?.options.port?.check;
    expect(check?.(value) === undefined).toBe(good);
  });
});
