/**
 * What TLS costs the executable: bun bench/micro-tls.ts
 * Prints handshakes a second and the proxy's CPU time for each, by `openssl s_time`, and its CPU
 * time for a chat request on kept connections, by HTTP and by HTTPS.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { makeSelfSigned } from "../src/kit/self-signed.ts";
import { cpuOf } from "./proc.ts";

const binary = resolve(import.meta.dirname, "../dist/cliproxy");
const seconds = 5;
const connections = 8;
const rounds = 3;
const key = "cpk_bench-7Qm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0Gp";

interface Proxy {
  readonly url: string;
  readonly pid: number;
  stop(): void;
}

async function start(tls: object): Promise<Proxy> {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-bench-tls-"));
  const file = join(dir, "config.yaml");
  const api_keys = [{ id: "bench", key }];
  const auth = { dir: join(dir, "auths"), api_keys };
  const config = { server: { port: 0, tls }, auth, state: { store: "memory" } };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const child = spawn(binary, ["serve", "--json", "--config", file], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [line] = await new Promise<Buffer[]>((found) => {
    child.stdout.once("data", (data: Buffer) => found([data]));
  });
  const { url } = JSON.parse(String(line).split("\n")[0] ?? "") as { url: string };
  child.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  return { url, pid: child.pid ?? 0, stop: () => void child.kill("SIGTERM") };
}

/** CPU time of a process in microseconds. */
function usOf(pid: number): number {
  const { user, system } = cpuOf(pid);
  return user + system;
}

function handshakes({ url, pid }: Proxy, version: string): string {
  const at = url.replace("https://", "");
  const before = usOf(pid);
  const words = ["s_time", "-connect", at, "-new", "-time", `${seconds}`, version];
  const told = execFileSync("openssl", words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  // The last line counts by the clock, the one before by the client's own CPU time.
  const [, count = "0", time = "1"] = /(\d+) connections in (\d+) real seconds/.exec(told) ?? [];
  const us = (usOf(pid) - before) / Number(count);
  return `${(Number(count) / Number(time)).toFixed(0)}/s, ${us.toFixed(0)} us of CPU each`;
}

/** Microseconds of CPU for each request on connections that are kept. */
async function requests({ url, pid }: Proxy): Promise<number> {
  const body = JSON.stringify({
    model: "sandbox-echo",
    messages: [{ role: "user", content: "word ".repeat(200) }],
  });
  const init = {
    ...{ method: "POST", body, tls: { rejectUnauthorized: false } },
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
  };
  let count = 0;
  const run = async (until: number): Promise<void> => {
    while (performance.now() < until) {
      const reply = await fetch(`${url}/v1/chat/completions`, init);
      if (reply.status !== 200) throw new Error(`answered ${reply.status}`);
      await reply.text();
      count += 1;
    }
  };
  const all = (forMs: number): Promise<unknown> =>
    Promise.all(Array.from({ length: connections }, () => run(performance.now() + forMs)));
  await all(1000);
  count = 0;
  const before = usOf(pid);
  await all(seconds * 1000);
  return (usOf(pid) - before) / count;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const dir = mkdtempSync(join(tmpdir(), "cliproxy-bench-tls-"));
const { cert, key: certKey } = await makeSelfSigned(["localhost"], 9, Date.now());
const files = { cert_file: join(dir, "tls.crt"), key_file: join(dir, "tls.key") };
writeFileSync(files.cert_file, cert);
writeFileSync(files.key_file, certKey, { mode: 0o600 });
const secure = await start({ enabled: true, ...files });
const plain = await start({ enabled: false });
try {
  console.log(`handshakes by TLS 1.3, ECDSA P-256: ${handshakes(secure, "-tls1_3")}`);
  console.log(`handshakes by TLS 1.2, ECDSA P-256: ${handshakes(secure, "-tls1_2")}`);
  const [https, http]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    http.push(await requests(plain));
    https.push(await requests(secure));
  }
  const [a, b] = [median(http), median(https)];
  console.log(`a chat request of 1 KB by HTTP: ${a.toFixed(0)} us of CPU`);
  console.log(
    `a chat request of 1 KB by HTTPS: ${b.toFixed(0)} us of CPU (${(b / a).toFixed(2)}x)`,
  );
} finally {
  secure.stop();
  plain.stop();
  rmSync(dir, { recursive: true, force: true });
}
