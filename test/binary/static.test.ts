import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { partsOf } from "../../deploy/build/static.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { type EmptyRoot, makeEmptyRoot } from "../harness/empty-root.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import {
  binary,
  clientKey,
  configOf,
  makeDir,
  needBinary,
  providersOf,
  type RunningProxy,
  startProxy,
} from "../harness/proxy.ts";
import { openRaw, requestBytes } from "../harness/raw.ts";
import { hangBeforeHead } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";

const root = resolve(import.meta.dirname, "../..");
const isX64 = process.arch === "x64";
const own = `${binary}-linux-${isX64 ? "x64" : "arm64"}-static`;
const foreign = `${binary}-linux-arm64-static`;

/** `.ci/run` installs both; elsewhere what can't run is not asked. */
const emulator = "/usr/bin/qemu-aarch64-static";
const canEmulate = isX64 && existsSync(emulator) && existsSync("/usr/bin/aarch64-linux-gnu-gcc");

let upstream: FakeUpstream;

beforeAll(async () => {
  needBinary();
  build("--static");
  if (canEmulate) build("--static", "--target", "linux-arm64");
  upstream = await startUpstream();
}, 120_000);
afterAll(cleanUp);

function build(...words: readonly string[]): void {
  const built = spawnSync(process.execPath, ["build.ts", ...words], {
    cwd: root,
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(built.stdout + built.stderr);
}

/** Serves from a root that holds nothing but the executable and its configuration. */
function serveIn(empty: EmptyRoot, env: Readonly<Record<string, string>> = {}) {
  const providers = providersOf(upstream.url, "${LD_AUDIT:-nothing-of-the-loader}");
  const config = configOf("/", { providers });
  writeFileSync(join(empty.dir, "config/config.yaml"), JSON.stringify(config));
  return startProxy({ wrap: empty.wrap, env, args: () => ["serve", "--json"] });
}

const messages = [{ role: "user", content: "hello" }];
const auth = [["authorization", `Bearer ${clientKey}`]] as const;

async function streamOf(proxy: RunningProxy): Promise<string> {
  const answer = await proxy.post("/v1/chat/completions", {
    model: "oai/gpt-test",
    stream: true,
    messages,
  });
  expect(answer.status).toBe(200);
  return answer.text();
}

describe("the static executable", () => {
  test("is static to the tools that look at it, and has digest and parts", () => {
    const headers = spawnSync("readelf", ["-lW", own], { encoding: "utf8" }).stdout;
    expect(headers).toContain("DYN (Position-Independent Executable file)");
    expect(headers).not.toContain("INTERP");
    const names = partsOf(readFileSync(own)).map(({ name }) => name);
    expect(names.slice(2)).toEqual(["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"]);
  });

  test("serves a stream in an empty, read-only root as nobody", async () => {
    const proxy = await serveIn(makeEmptyRoot(own));
    expect(await streamOf(proxy)).toContain("data: [DONE]");
    const status = readFileSync(`/proc/${proxy.pid}/status`, "utf8");
    expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
    await proxy.stop();
  });

  test("takes neither code nor settings of the runtime or the loader from outside", async () => {
    const proxy = await serveIn(makeEmptyRoot(own), {
      BUN_OPTIONS: "--preload /config/evil.ts",
      BUN_BE_BUN: "1",
      LD_LIBRARY_PATH: "/config",
      LD_AUDIT: "/config/evil.so",
      GLIBC_TUNABLES: "glibc.malloc.check=3",
    });
    expect(await streamOf(proxy)).toContain("data: [DONE]");
    const key = upstream.received.at(-1)?.header("authorization");
    expect(key).toBe("Bearer nothing-of-the-loader");
    await proxy.stop();
  });

  test("asks more at once than the 256 of the runtime's own cap", async () => {
    upstream.on("held", hangBeforeHead);
    const proxy = await serveIn(makeEmptyRoot(own));
    const body = JSON.stringify({ model: "oai/held", stream: true, messages });
    const request = requestBytes("POST", "/v1/chat/completions", auth, body);
    const clients = await Promise.all(Array.from({ length: 300 }, () => openRaw(proxy.url)));
    for (const client of clients) client.send(request);
    const isHeld = ({ text }: { readonly text: string }) => text.includes('"held"');
    await until("300 requests upstream", () => upstream.received.filter(isHeld).length === 300);
    for (const client of clients) client.close();
    await proxy.stop();
  });

  test.each([
    ["cut", (file: string) => truncateSync(file, 1_000_000), "nothing is packed behind it"],
    ["in a root without /proc", () => {}, "is /proc mounted?"],
  ])("says what is wrong when it is %s", (what, spoil, said) => {
    const dir = makeDir();
    const file = join(dir, "cliproxy");
    copyFileSync(own, file);
    spoil(file);
    const words = what === "cut" ? [file] : ["chroot", dir, "/cliproxy"];
    const { status, stderr } = spawnSync(words[0] as string, words.slice(1), { encoding: "utf8" });
    expect(stderr).toContain(said);
    expect(status).toBe(70);
  });
});

test.if(canEmulate)(
  "the one for arm64 serves a stream in an empty root, emulated",
  async () => {
    const proxy = await serveIn(makeEmptyRoot(foreign, emulator));
    expect(await streamOf(proxy)).toContain("data: [DONE]");
    await proxy.stop();
  },
  60_000,
);
