import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onCleanup } from "./cleanup.ts";
import { sleep, within } from "./wait.ts";

const root = resolve(import.meta.dirname, "../..");

/** The file under test. */
export const binary = join(root, "dist/cliproxy");

/** Call it in `beforeAll`: a missing build is one clear failure instead of many odd ones. */
export function needBinary(): void {
  for (const file of [binary, `${binary}.mjs`]) {
    if (!existsSync(file)) throw new Error(`${file} is missing: run \`npm run build\` first`);
  }
}

/** Deno itself: the command of its package is a script that passes no signals on. */
function findDeno(): string {
  return createRequire(import.meta.url)("deno/install_api.cjs").runInstall();
}

/** The executable has it built in. */
const noEval = "--disallow-code-generation-from-strings";

let traces = 0;

/** `npm run seccomp` wants to know each system call; the traced process keeps its own pid. */
function tracing(): readonly string[] {
  const dir = process.env.CLIPROXY_TEST_TRACE;
  if (dir === undefined) return [];
  traces += 1;
  return ["strace", "-D", "-f", "-qq", "-o", join(dir, `${process.pid}-${traces}.trace`)];
}

/** What Deno may do: the flags of docs/runtimes.md, for addresses and folders of tests. */
const denoFlags = [
  ...[
    "run",
    "--no-prompt",
    `--v8-flags=${noEval}`,
    "--allow-env",
    "--allow-net=127.0.0.1,provider.invalid:80",
  ],
  ...[`--allow-read=${tmpdir()},/config`, `--allow-write=${tmpdir()}`, "--allow-sys=uid"],
];

const programs: Readonly<Record<string, () => readonly string[]>> = {
  binary: () => [...tracing(), binary],
  bun: () => [process.execPath, join(root, "src/main.ts")],
  node: () => ["node", noEval, `${binary}.mjs`],
  deno: () => [findDeno(), ...denoFlags, join(root, "src/main.ts")],
  "one module, deno": () => [findDeno(), ...denoFlags, `${binary}.mjs`],
  "one module, bun": () => [process.execPath, `${binary}.mjs`],
};

/** What runs the proxy: the executable, or the source or the one module on a runtime. */
export type ProxyRuntime =
  | ("binary" | "bun" | "node" | "deno")
  | ("one module, deno" | "one module, bun");

/** The words that start cliproxy on a runtime, before its own arguments. */
export function programOf(runtime: ProxyRuntime | undefined): readonly string[] {
  const made = programs[runtime ?? process.env.CLIPROXY_TEST_RUNTIME ?? "binary"]?.();
  if (made === undefined) throw new Error(`no runtime ${runtime}`);
  return made;
}

/** The client key of every proxy that a test configures. */
export const clientKey = "cpk_test-7Qm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0Gp";

export interface ProxyOptions {
  /** Default: the executable. */
  readonly runtime?: ProxyRuntime;
  /** Merged over the usual one by top-level key; undefined leaves all to the defaults. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** Written as it is, instead of `config`. */
  readonly configText?: string;
  /** No config file at all. */
  readonly noConfig?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Words after the program; default: `serve --json --config <file>`. */
  readonly args?: (dir: string) => readonly string[];
  /** Program and words in front, such as `unshare`. */
  readonly wrap?: readonly string[];
  /** Exit code that `stop` expects. */
  readonly exitCode?: number;
  /** Runs before the process starts. */
  readonly prepare?: (dir: string) => void;
}

/** What `serve --json` prints. */
export interface Greeting {
  readonly url: string;
  /** Where else it listens, by name. */
  readonly listeners: Readonly<Record<string, string>>;
  readonly config: string | null;
  readonly keys: readonly { readonly title: string; readonly path: string }[];
  readonly plan: {
    readonly policies: readonly { readonly name: string; readonly mode: string }[];
    readonly providers: readonly { readonly name: string; readonly credentials: number }[];
  };
  readonly warnings: readonly string[];
}

export interface RunningProxy {
  readonly url: string;
  readonly greeting: Greeting;
  readonly pid: number;
  /** Holds `config.yaml`, `auths` and the empty working directory `cwd`. */
  readonly dir: string;
  readonly configFile: string;
  readonly authDir: string;
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code. */
  readonly exited: Promise<number>;
  signal(name: "SIGTERM" | "SIGINT" | "SIGHUP"): void;
  /** Ends it by SIGTERM and checks the exit code. */
  stop(): Promise<number>;
  post(path: string, body: unknown, more?: RequestOptions): Promise<Response>;
  get(path: string, more?: RequestOptions): Promise<Response>;
  writeConfig(config: Readonly<Record<string, unknown>>): void;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The usual configuration, over a temporary directory. */
export function configOf(
  dir: string,
  over: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const { auth, server, ...rest } = over as {
    auth?: Record<string, unknown>;
    server?: Record<string, unknown>;
  };
  return {
    server: { port: 0, ...server },
    auth: {
      dir: join(dir, "auths"),
      api_keys: [{ id: "tester", user_id: "tester@example.org", key: clientKey }],
      ...auth,
    },
    // Most tests have one provider, which fails as often as they like; test/binary/cooldown.test.ts
    // has the default.
    routing: { cooldown: { enabled: false } },
    ...rest,
  };
}

/** The directory that a proxy gets: JSON is YAML, so the config is written as JSON. */
export function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-test-"));
  onCleanup(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, "cwd"));
  return dir;
}

/** A clean environment: nothing of the machine that runs the tests leaks in. */
export function cleanEnv(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...env };
}

/** Starts the binary from an empty directory and waits until it listens. */
export async function startProxy(options: ProxyOptions = {}): Promise<RunningProxy> {
  needBinary();
  const dir = makeDir();
  const configFile = join(dir, "config.yaml");
  const writeConfig = (config: Readonly<Record<string, unknown>>): void =>
    writeFileSync(configFile, JSON.stringify(configOf(dir, config), null, 2));
  if (options.configText !== undefined) writeFileSync(configFile, options.configText);
  else if (options.noConfig !== true) writeConfig(options.config ?? {});
  options.prepare?.(dir);
  const usual = options.noConfig === true ? [] : ["--config", configFile];
  const args = options.args?.(dir) ?? ["serve", "--json", ...usual];
  const all = [...(options.wrap ?? []), ...programOf(options.runtime), ...args];
  const [program, ...words] = all as [string, ...string[]];
  const child = spawn(program, words, {
    cwd: join(dir, "cwd"),
    env: cleanEnv(options.env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(child);
  const { exited } = output;
  const expected = options.exitCode ?? 0;
  onCleanup(() => endChild(child, exited));
  const greeting = await greetingOf(child, output);
  const headers = {
    authorization: `Bearer ${clientKey}`,
    "content-type": "application/json",
  };
  return {
    url: greeting.url,
    greeting,
    pid: child.pid ?? 0,
    dir,
    configFile,
    authDir: join(dir, "auths"),
    stdout: output.stdout,
    stderr: output.stderr,
    exited,
    signal: (name) => void child.kill(name),
    async stop() {
      if (child.exitCode === null) child.kill("SIGTERM");
      const code = await within("exit after SIGTERM", exited, 10_000);
      if (code !== expected) {
        throw new Error(`exit code ${code} instead of ${expected}\n${output.stderr()}`);
      }
      return code;
    },
    post: (path, body, more = {}) =>
      fetch(greeting.url + path, {
        method: "POST",
        headers: { ...headers, ...more.headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...(more.signal && { signal: more.signal }),
        // Bun's own limit of 256 fetches and its keep-alive must not colour what is measured.
        keepalive: false,
      }),
    get: (path, more = {}) =>
      fetch(greeting.url + path, { headers: { ...headers, ...more.headers }, keepalive: false }),
    writeConfig,
  };
}

interface Output {
  stdout(): string;
  stderr(): string;
  readonly exited: Promise<number>;
}

function collect(child: ChildProcess): Output {
  let out = "";
  let err = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  children.add(child);
  const exited = new Promise<number>((resolve) => {
    const end = (code: number): void => {
      children.delete(child);
      resolve(code);
    };
    child.on("error", () => end(-1));
    child.on("close", (code, signal) => end(code ?? (signal === null ? -1 : 128)));
  });
  return { stdout: () => out, stderr: () => err, exited };
}

/** The first line of JSON, or the address in the first line of text. */
async function greetingOf(child: ChildProcess, output: Output): Promise<Greeting> {
  const latest = performance.now() + 10_000;
  for (;;) {
    const text = output.stdout();
    const line = text.slice(0, text.indexOf("\n"));
    // A configuration that is refused is told as JSON, too.
    if (text.includes("\n") && line.startsWith('{"url"')) return JSON.parse(line) as Greeting;
    const url = /^cliproxy listens on (\S+)\n/.exec(text)?.[1];
    if (url !== undefined) {
      const plan = { policies: [], providers: [] };
      return { url, listeners: {}, config: null, keys: [], plan, warnings: [] };
    }
    const over = child.exitCode !== null || child.signalCode !== null;
    if (over || performance.now() > latest) {
      const why = over ? `ended with ${child.exitCode}` : "did not listen within 10 s";
      throw new Error(`the proxy ${why}\nstdout: ${text}\nstderr: ${output.stderr()}`);
    }
    await sleep(2);
  }
}

/** A test run that is broken off leaves no process behind. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Ends a child by its own pid, kindly, then for good. */
async function endChild(child: ChildProcess, exited: Promise<number>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  const ended = await Promise.race([exited.then(() => true), sleep(300).then(() => false)]);
  if (!ended) child.kill("SIGKILL");
  await exited;
}

/** Runs one command line of the binary to its end. */
export async function runBinary(
  args: readonly string[],
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly runtime?: ProxyRuntime;
  } = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  needBinary();
  const cwd = options.cwd ?? join(makeDir(), "cwd");
  const [program, ...words] = [...programOf(options.runtime), ...args] as [string, ...string[]];
  const child = spawn(program, words, {
    cwd,
    env: cleanEnv(options.env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { stdout, stderr, exited } = collect(child);
  onCleanup(() => endChild(child, exited));
  const code = await within(`cliproxy ${args.join(" ")}`, exited, 10_000);
  return { code, out: stdout(), err: stderr() };
}

/** A fake upstream as two providers, one for each dialect. */
export function providersOf(
  url: string,
  key = "upstream-secret-key-1",
): Record<string, Record<string, unknown>> {
  return {
    oai: { protocol: "openai", base_url: url, api_key: key },
    ant: { protocol: "claude", base_url: url, api_key: key },
  };
}
