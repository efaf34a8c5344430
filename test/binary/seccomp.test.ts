import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  filterProgram,
  profileOf,
  type SeccompProfile,
  without,
} from "../container/seccomp-profile.ts";
import { callsIn } from "../container/trace-syscalls.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { binary, makeDir, needBinary, providersOf, startProxy } from "../harness/proxy.ts";

const deploy = resolve(import.meta.dirname, "../../deploy");
const messages = [{ role: "user", content: "hello" }];
let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  upstream = await startUpstream();
});
afterAll(cleanUp);

function readProfile(name: string): SeccompProfile {
  return JSON.parse(readFileSync(join(deploy, name), "utf8")) as SeccompProfile;
}

/** A program that puts a profile on itself, as an engine does, and becomes another. */
function compileFilter(profile: SeccompProfile): string {
  const dir = makeDir();
  const source = join(dir, "filter.c");
  writeFileSync(source, filterProgram(profile));
  const out = join(dir, "filter");
  const made = spawnSync("gcc", ["-O1", "-o", out, source], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(made.stderr ?? String(made.error));
  return out;
}

async function serves(wrap: readonly string[], prepare: (dir: string) => void = () => {}) {
  const proxy = await startProxy({
    config: { providers: providersOf(upstream.url) },
    wrap,
    prepare,
  });
  const body = { model: "oai/gpt-test", stream: true, messages };
  const answer = await proxy.post("/v1/chat/completions", body);
  expect(await answer.text()).toEndWith("data: [DONE]\n\n");
  proxy.signal("SIGHUP");
  await proxy.stop();
}

describe("deploy/seccomp.json", () => {
  test("lets the executable serve, reload and end", async () => {
    await serves([compileFilter(readProfile("seccomp.json"))]);
  });

  test.each(["futex", "epoll_create1", "mmap", "openat", "listen", "socket", "clone"])(
    "is needed down to %s: without it nothing listens",
    (name) => {
      const filter = compileFilter(without(readProfile("seccomp.json"), name));
      const cwd = join(makeDir(), "cwd");
      const words = [binary, "serve", "--port", "0"];
      const ran = spawnSync(filter, words, { cwd, encoding: "utf8", timeout: 3000 });
      expect(ran.stdout).not.toContain("cliproxy listens");
    },
  );

  test("allows all that a traced run calls, and is what `npm run seccomp` would write", async () => {
    const traces = join(makeDir(), "traces");
    mkdirSync(traces);
    await serves(["strace", "-D", "-f", "-qq", "-o", join(traces, "run.trace")]);
    const profile = readProfile("seccomp.json");
    const named = new Set(profile.syscalls.flatMap(({ names }) => names));
    const traced = callsIn(traces);
    expect(traced.size).toBeGreaterThan(40);
    expect([...traced].filter((name) => !named.has(name))).toEqual([]);
    expect(profileOf(named, "base")).toEqual(profile);
    expect(profileOf(named, "static")).toEqual(readProfile("seccomp-static.json"));
  });
});
