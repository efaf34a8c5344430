import { afterEach, expect, test } from "bun:test";
import type { Asked } from "../../src/scripts/asked.ts";
import { Watchdog } from "../../src/scripts/watchdog.ts";
import { createFakeClock } from "../harness/fake-clock.ts";

const mib = 1024 * 1024;
const made: Watchdog[] = [];
afterEach(() => {
  for (const dog of made.splice(0)) dog.stop();
});

function watched(limits = { deadlineMs: 250, memoryMib: 128 }) {
  const clock = createFakeClock();
  const asked: Asked[] = [];
  const seen: string[] = [];
  const memory = { rss: 100 * mib };
  const dog = new Watchdog({ clock, rssBytes: () => memory.rss }, limits, {
    oldest: () => asked[0],
    ping: () => seen.push("ping"),
    giveUp: (reason) => seen.push(reason),
    expire: ({ id }) => {
      asked.shift();
      seen.push(`expired ${id}`);
    },
  });
  made.push(dog);
  const ask = (id: number): void => {
    asked.push({
      ...{ id, hook: "call", args: [], atMs: clock.mono(), repeats: 0 },
      resolve: () => {},
      reject: () => {},
    });
    dog.wake();
  };
  const tickAfter = (ms: number): void => {
    clock.advance(ms);
    dog.tick();
  };
  return { dog, asked, seen, memory, ask, tickAfter };
}

test("a thread is not pinged before the deadline", () => {
  const { seen, ask, tickAfter } = watched();
  ask(1);
  tickAfter(249);
  expect(seen).toEqual([]);
  tickAfter(1);
  expect(seen).toEqual(["ping"]);
});

test("a thread that answers no ping is given up, and one ping is enough", () => {
  const { seen, ask, tickAfter } = watched();
  ask(1);
  tickAfter(250);
  tickAfter(59);
  expect(seen).toEqual(["ping"]);
  tickAfter(1);
  expect(seen).toEqual(["ping", "call took longer than 250 ms"]);
});

test("of a thread that answers the ping only what is overdue expires", () => {
  const { dog, seen, ask, tickAfter } = watched();
  ask(1);
  tickAfter(200);
  ask(2);
  tickAfter(50);
  dog.pong(0);
  tickAfter(100);
  expect(seen).toEqual(["ping", "expired 1"]);
});

test("a thread whose heap is beyond its limit is given up, and at the limit it is not", () => {
  const { dog, seen, ask } = watched();
  ask(1);
  dog.pong(128 * mib);
  expect(seen).toEqual([]);
  dog.pong(129 * mib);
  expect(seen).toEqual(["its thread held 129 MiB"]);
});

test("what the process grows by while a thread is silent is that thread's", () => {
  const { seen, memory, ask, tickAfter } = watched();
  ask(1);
  tickAfter(20);
  memory.rss += 128 * mib;
  tickAfter(20);
  expect(seen).toEqual([]);
  memory.rss += 1;
  tickAfter(20);
  expect(seen).toEqual(["it took more than 128 MiB of memory in one hook"]);
});

test("growth from before an answer is not held against the thread", () => {
  const { dog, seen, memory, ask, tickAfter } = watched();
  ask(1);
  tickAfter(20);
  memory.rss += 200 * mib;
  dog.heard();
  tickAfter(20);
  tickAfter(20);
  expect(seen).toEqual([]);
});

test("a new thread does not answer for the ping of the one before", () => {
  const { dog, asked, seen, ask, tickAfter } = watched();
  ask(1);
  tickAfter(250);
  expect(seen).toEqual(["ping"]);
  // The thread ends by itself before it answers, and its successor is asked.
  dog.stop();
  asked.length = 0;
  ask(2);
  tickAfter(250);
  expect(seen).toEqual(["ping", "ping"]);
  dog.pong(0);
  expect(seen).toEqual(["ping", "ping", "expired 2"]);
});
