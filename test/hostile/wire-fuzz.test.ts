/**
 * Conversations made up by a grammar, on the raw socket: never is anything served upstream that the
 * strictest reader of the same bytes would not have taken for a request, and never twice.
 *
 * `npm run fuzz` runs longer, with another seed each time; add what it finds to `corpus/`.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { providersOf, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { openRaw } from "../harness/raw.ts";
import { sleep } from "../harness/wait.ts";
import { fuzzing } from "./fuzzing.ts";
import { referenceRequests } from "./reference-parser.ts";
import { splitReplies } from "./replies.ts";
import { conversation } from "./wire-grammar.ts";

let upstream: FakeUpstream;
let proxy: RunningProxy;

beforeAll(async () => {
  upstream = await startUpstream();
  proxy = await startProxy({ config: { providers: providersOf(upstream.url) } });
});
afterAll(cleanUp);

/** Longest that a connection is listened to after its last byte has come, in milliseconds. */
const quietMs = 25;
let conversations = 0;

async function say(bytes: string): Promise<string> {
  conversations += 1;
  const client = await openRaw(
    proxy.url,
    `127.1.${(conversations >> 7) & 127}.${1 + (conversations & 127)}`,
  );
  const isOver = client.closed(60_000).then(
    () => true,
    () => true,
  );
  client.send(Buffer.from(bytes, "latin1"));
  for (let size = -1; size < client.bytes().byteLength; ) {
    size = client.bytes().byteLength;
    if (await Promise.race([isOver, sleep(quietMs).then(() => false)])) break;
  }
  const text = Buffer.from(client.bytes()).toString("latin1");
  client.close();
  return text;
}

/** Models named upstream under a mark, in order. */
function servedTo(mark: string): string[] {
  return upstream.received
    .map(({ json }) => json.model ?? "")
    .filter((model) => model.includes(`-${mark}-`));
}

async function judge(bytes: string, mark: string): Promise<void> {
  const text = await say(bytes);
  const taken = referenceRequests(bytes)
    .filter(({ method }) => method === "POST")
    .map(({ body }) => body);
  const left = [...taken];
  for (const model of servedTo(mark)) {
    const at = left.findIndex((body) => body.includes(`"${model}"`) && body.startsWith("{"));
    if (at < 0) throw new Error(`${model} was served, but no request names it:\n${bytes}`);
    left.splice(at, 1);
  }
  for (const { status } of splitReplies(text).replies) {
    if ([500, 502, 503, 504].includes(status)) throw new Error(`status ${status}:\n${text}`);
  }
}

async function isAlive(): Promise<void> {
  const answer = await fetch(`${proxy.url}/healthz`);
  expect(answer.status).toBe(200);
  await answer.text();
}

const corpus = join(import.meta.dirname, "corpus");
test.each(readdirSync(corpus).filter((name) => name.endsWith(".http")))(
  "corpus: %s",
  async (name) => {
    const mark = name.replace(/\W/g, "");
    const bytes = readFileSync(join(corpus, name), "latin1").replaceAll("MARK", mark);
    await judge(bytes, mark);
    await isAlive();
  },
);

test(
  "made up",
  async () => {
    const { runs, seed, timeoutMs } = fuzzing(250);
    const lanes = 25;
    let count = 0;
    const lane = fc.asyncProperty(
      fc.array(conversation, { minLength: lanes, maxLength: lanes }),
      async (many) => {
        await Promise.all(
          many.map((draw) => {
            count += 1;
            const mark = `m${count}`;
            return judge(draw(mark), mark);
          }),
        );
        upstream.received.length = 0;
        await isAlive();
      },
    );
    await fc.assert(lane, {
      numRuns: Math.ceil(runs / lanes),
      seed,
      interruptAfterTimeLimit: timeoutMs,
    });
  },
  fuzzing(250).timeoutMs + 10_000,
);

test("nothing was logged as an error, and it ends with exit code 0", async () => {
  expect(await proxy.stop()).toBe(0);
  expect(proxy.stderr()).not.toMatch(/"level":"(?:ERROR|FATAL)"/i);
});
