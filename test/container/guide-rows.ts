import { expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "../harness/edge.ts";
import { clientKey, configOf } from "../harness/proxy.ts";
import { paced } from "../harness/scripts.ts";
import { until } from "../harness/wait.ts";
import { type Box, managementKey } from "./box.ts";
import type { Row } from "./setting-rows.ts";

const messages = [{ role: "user", content: "hello" }];
const MiB = 2 ** 20;

function manage(box: Box, method: string, path: string, body?: unknown) {
  const options = { key: managementKey, method, path: `/v0/management${path}`, body };
  return ask(box.proxy, options);
}

function chat(box: Box, model: string, more: object = {}) {
  return box.proxy.post("/v1/chat/completions", { model, messages, ...more });
}

/** As from a reverse proxy on another address of this machine. */
function forwarded(box: Box, address: string) {
  return ask(box.proxy, { from: "127.0.0.9", headers: [["x-forwarded-for", address]] });
}

async function change(box: Box, over: Readonly<Record<string, unknown>>): Promise<void> {
  const config = configOf("", box.config(over));
  // In place: a mounted file that is replaced stays the old one inside.
  writeFileSync(box.proxy.configFile, JSON.stringify(config));
}

/** The guide as a user would play it, with the executable in the container. */
export const guideRows: readonly Row[] = [
  {
    setting: "clients are served, streams too",
    async prove(box) {
      const answer = await chat(box, "oai/gpt-test", { stream: true });
      expect(answer.status).toBe(200);
      expect(await answer.text()).toEndWith("data: [DONE]\n\n");
      return "200, and a stream to its end";
    },
  },
  {
    setting: "no client key, no service",
    async prove(box) {
      const { status } = await ask(box.proxy, { key: undefined });
      expect(status).toBe(401);
      return "401";
    },
  },
  {
    setting: "`server.security.headers`",
    async prove(box) {
      const { headers } = await fetch(`${box.proxy.url}/healthz`);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      return "`x-content-type-options: nosniff` on `/healthz`";
    },
  },
  {
    setting: "`ip_denylist`, behind a trusted proxy",
    async prove(box) {
      const answers = [await forwarded(box, "192.0.2.7"), await forwarded(box, "203.0.113.7")];
      expect(answers.map(({ status }) => status)).toEqual([403, 200]);
      return "403 for 192.0.2.7, 200 for 203.0.113.7";
    },
  },
  {
    setting: "`providers.*.rate_limit`",
    async prove(box) {
      const statuses: number[] = [];
      for (let i = 0; i < 3; i++) statuses.push((await chat(box, "tight/gpt-test")).status);
      expect(statuses).toEqual([200, 200, 429]);
      return "2 a minute: 200, 200, 429";
    },
  },
  {
    setting: "`maintenance_mode`, by a changed file",
    async prove(box) {
      const serves = async () => (await ask(box.proxy)).status;
      await change(box, { server: { maintenance_mode: true } });
      await until("maintenance", async () => (await serves()) === 503);
      await change(box, {});
      await until("no maintenance", async () => (await serves()) === 200);
      return "503 after the file was changed, 200 after it was changed back";
    },
  },
  {
    setting: "a bad configuration changes nothing",
    async prove(box) {
      writeFileSync(box.proxy.configFile, "server: { prot: 1 }");
      await until("rejection", () => box.proxy.stderr().includes("reload rejected"));
      expect((await ask(box.proxy)).status).toBe(200);
      await change(box, {});
      const reloads = () => box.proxy.stderr().split('"msg":"reloaded"').length;
      const before = reloads();
      box.proxy.signal("SIGHUP");
      await until("recovery", () => reloads() > before);
      return "told in the log; the one before it serves";
    },
  },
  {
    setting: "the denylist at run time",
    async prove(box) {
      const entry = { ip: "198.51.100.9", reason: "test" };
      const added = await manage(box, "POST", "/security/ip-denylist", entry);
      expect(added.status).toBeLessThan(300);
      expect((await forwarded(box, entry.ip)).status).toBe(403);
      return "added by the management API: 403 at once";
    },
  },
  {
    setting: "`metrics`",
    async prove(box) {
      const url = box.proxy.greeting.listeners.metrics ?? "";
      const text = await (await fetch(url)).text();
      expect(text).toContain("cliproxy_");
      return "on a port of their own";
    },
  },
  {
    setting: "`logging.audit`, rotation and `audit verify`",
    async prove(box) {
      const files = () => readdirSync(join(box.dir, "logs")).filter((f) => /\.\d+$/.test(f));
      await until(
        "rotation",
        async () => {
          await Promise.all(Array.from({ length: 20 }, () => ask(box.proxy, { key: "wrong-key" })));
          await Promise.all(Array.from({ length: 20 }, () => chat(box, "oai/gpt-test")));
          return files().length > 0;
        },
        30_000,
      );
      const [first = ""] = readFileSync(join(box.dir, "logs", files()[0] ?? ""), "utf8").split(
        "\n",
      );
      const keys = "timestamp event_type provider user_id ip result details".split(" ");
      expect(Object.keys(JSON.parse(first)).slice(0, 7)).toEqual(keys);
      const verified = box.exec("/cliproxy", "audit", "verify");
      expect(verified).toMatchObject({ status: 0 });
      return `rotated into ${files().length + 1} files; \`audit verify\` ends with 0`;
    },
  },
  {
    setting: "large bodies within the memory",
    async prove(box) {
      const content = "x".repeat(8 * MiB);
      const body = { model: "oai/gpt-test", messages: [{ role: "user", content }] };
      const sent = Array.from({ length: 12 }, () => box.proxy.post("/v1/chat/completions", body));
      const statuses = (await Promise.all(sent)).map(({ status }) => status);
      for (const status of statuses) expect([200, 413, 429, 503]).toContain(status);
      expect((await ask(box.proxy)).status).toBe(200);
      const peak = box.cgroup("memory", "memory.max_usage_in_bytes", "memory.peak");
      const served = statuses.filter((status) => status === 200).length;
      return `12 of 8 MiB at once: ${served} served, ${12 - served} refused; the peak was ${Math.round(Number(peak) / MiB)} MiB, and it lives`;
    },
  },
];

/** What ends the run: a stream that is held across SIGTERM. */
export async function drains(box: Box): Promise<string> {
  box.upstream.on("slow", paced(50, { text: "a b c d e f g h i j k l m n o p".split(" ") }));
  const answer = await box.proxy.post(
    "/v1/chat/completions",
    { model: "oai/slow", stream: true, messages },
    { headers: { authorization: `Bearer ${clientKey}` } },
  );
  const stopping = box.proxy.stop();
  expect(await answer.text()).toEndWith("data: [DONE]\n\n");
  expect(await stopping).toBe(0);
  return "the stream that ran went to its end; exit code 0";
}

/** After a new start in the same volumes. */
export async function remembers(box: Box): Promise<string> {
  expect((await forwarded(box, "198.51.100.9")).status).toBe(403);
  expect(box.exec("/cliproxy", "audit", "verify")).toMatchObject({ status: 0 });
  return "the address that was denied before is still denied; the chain of the audit log goes on";
}
