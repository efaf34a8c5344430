import { afterEach, expect, test } from "bun:test";
import type { Thread } from "../../src/runtime/runtime.ts";
import { Keeper, mostAsked } from "../../src/scripts/keeper.ts";
import type { FromThread, ToThread } from "../../src/scripts/messages.ts";
import { createFakeClock } from "../harness/fake-clock.ts";
import { createLogLines } from "../harness/stubs.ts";

const described = {
  ...{ summary: "does", stage: "guard", onFault: "closed", hasConfig: false },
  ...{ surfaces: "all", streams: true, admin: false, texts: false },
};

/** A thread whose other end is the test. */
class FakeThread implements Thread {
  onMessage: (message: unknown) => void = () => {};
  onEnd: (reason: string) => void = () => {};
  readonly told: ToThread[] = [];
  killed = false;
  mark: Int32Array = new Int32Array(1);
  loads = true;

  post(message: ToThread): void {
    this.told.push(message);
    if (message.t === "load") {
      this.mark = message.mark;
      if (this.loads) this.say({ t: "loaded", described });
      else this.say({ t: "failed", failure: { message: "broken", stack: "" } });
    } else if (message.t === "create") this.say({ t: "created", hooks: ["call"] });
    else if (message.t === "dispose") this.say({ t: "disposed" });
  }
  kill(): void {
    this.killed = true;
  }
  say(message: FromThread): void {
    this.onMessage(message);
  }
  hooks(): number[] {
    return this.told.flatMap((one) => (one.t === "hook" ? [one.id] : []));
  }
}

const keepers: Keeper[] = [];
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.dispose();
});

async function start() {
  const clock = createFakeClock();
  const threads: FakeThread[] = [];
  const house = { loads: true };
  const keeper = new Keeper({
    ...{ name: "mine", code: "", granted: [], clock, log: createLogLines() },
    openThread: () => {
      const thread = new FakeThread();
      thread.loads = house.loads;
      threads.push(thread);
      return thread;
    },
    rssBytes: () => 0,
  });
  keepers.push(keeper);
  await keeper.load();
  await keeper.create({}, { name: "mine", serving: true, providers: [] }, () => {});
  const ask = (): Promise<unknown> =>
    keeper.ask("call", []).catch((error: Error) => `refused: ${error.message}`);
  return { clock, threads, house, keeper, ask, last: () => threads.at(-1) as FakeThread };
}

/** Lets all promises that wait for nothing go on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("verdicts reach whoever asked, in any order", async () => {
  const { ask, last } = await start();
  const [first, second] = [ask(), ask()];
  last().say({ t: "verdict", id: 2, verdict: "pass" });
  last().say({ t: "verdict", id: 1, verdict: { deny: "forbidden" } });
  last().say({ t: "verdict", id: 1, verdict: "pass" });
  expect(await first).toEqual({ deny: "forbidden" });
  expect(await second).toBe("pass");
});

test("a thread that ends takes only the guilty with it; others are asked of the next", async () => {
  const { ask, threads, last, keeper } = await start();
  const [innocent, guilty] = [ask(), ask()];
  last().mark[0] = 2;
  last().onEnd("exited");
  await settle();
  expect(await guilty).toBe("refused: exited");
  expect(threads.map(({ killed }) => killed)).toEqual([true, false]);
  expect(last().hooks()).toEqual([1]);
  last().say({ t: "verdict", id: 1, verdict: "pass" });
  expect(await innocent).toBe("pass");
  expect(keeper.replaced).toBe(1);
});

test("what a replaced thread says late is not heard", async () => {
  const { ask, threads, last } = await start();
  const [waiting, guilty] = [ask(), ask()];
  last().mark[0] = 2;
  last().onEnd("exited");
  await settle();
  threads[0]?.say({ t: "verdict", id: 1, verdict: "pass" });
  last().say({ t: "verdict", id: 1, verdict: { deny: "forbidden" } });
  expect(await waiting).toEqual({ deny: "forbidden" });
  await guilty;
});

test("nobody is asked again for ever", async () => {
  const { ask, threads, last } = await start();
  const waiting = ask();
  void ask();
  for (let i = 0; i < 3; i += 1) {
    last().mark[0] = 99;
    last().onEnd("exited");
    await settle();
  }
  expect(await waiting).toBe("refused: exited");
  expect(threads).toHaveLength(3);
});

test("a thread that can't be started is tried once a second, however many ask", async () => {
  const { clock, house, ask, threads, last } = await start();
  last().onEnd("exited");
  house.loads = false;
  for (let i = 0; i < 3; i += 1) expect(await ask()).toBe("refused: broken");
  expect(threads).toHaveLength(4);
  for (let i = 0; i < 9; i += 1) {
    clock.advance(100);
    expect(await ask()).toBe("refused: policy mine can't be started");
  }
  expect(threads).toHaveLength(4);
  house.loads = true;
  clock.advance(100);
  const answered = ask();
  await settle();
  expect(threads).toHaveLength(5);
  last().say({ t: "verdict", id: last().hooks()[0] ?? 0, verdict: "pass" });
  expect(await answered).toBe("pass");
});

test("more hooks than the most are refused, and after the end all are", async () => {
  const { keeper, ask, last } = await start();
  const waiting = Array.from({ length: mostAsked }, ask);
  expect(await ask()).toBe(`refused: policy mine has ${mostAsked} hooks waiting`);
  await keeper.dispose();
  const ended = "refused: policy mine has ended";
  expect(new Set(await Promise.all([...waiting, ask()]))).toEqual(new Set([ended]));
  expect(last().killed).toBe(true);
});
