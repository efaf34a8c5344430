import { describe, expect, test } from "bun:test";
import { Secret } from "../../src/kit/secret.ts";
import {
  type KeeperHouse,
  type RefreshNote,
  type Renewal,
  TokenKeeper,
  type TokenOrigin,
} from "../../src/oauth/token-keeper.ts";
import { createFakeClock } from "../harness/fake-clock.ts";
import { createLogLines } from "../harness/stubs.ts";

const hourMs = 3_600_000;

/** An origin whose answers a test gives by hand. */
function scripted(fingerprint = "one") {
  const asked: ((renewal: Renewal) => void)[] = [];
  const known: (string | undefined)[] = [];
  const origin: TokenOrigin = {
    fingerprint,
    renew(old) {
      known.push(old?.expose());
      return new Promise((resolve) => void asked.push(resolve));
    },
  };
  return { origin, asked, known };
}

function bench(lifeMs: number | undefined = hourMs) {
  const clock = createFakeClock();
  const log = createLogLines();
  const told: RefreshNote[] = [];
  const script = scripted();
  const house: KeeperHouse = {
    clock,
    log,
    random: () => 0.5,
    refreshed: (_keeper, note) => void told.push(note),
  };
  const token = (name: string, ms: number | undefined = hourMs) => ({
    secret: new Secret(name),
    expiresAtMs: ms === undefined ? undefined : clock.now() + ms,
  });
  const first = lifeMs === undefined ? undefined : token("first", lifeMs);
  const keeper = new TokenKeeper("acme", "acme", house, script.origin, first);
  const settle = async (renewal: Renewal): Promise<void> => {
    script.asked.shift()?.(renewal);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  return { ...script, clock, log, told, house, keeper, token, settle };
}

describe("ahead of expiry", () => {
  test.each([
    [hourMs, 300_000 * 1.1],
    [100_000, 20_000 * 1.1],
    [10_000, 2000 * 1.1],
  ])("a token of %d ms is refreshed %d ms before its end", async (lifeMs, aheadMs) => {
    const b = bench(lifeMs);
    b.clock.advance(lifeMs - aheadMs - 1);
    b.keeper.tick();
    expect(b.asked).toHaveLength(0);
    b.clock.advance(1);
    b.keeper.tick();
    b.keeper.tick();
    expect(b.asked).toHaveLength(1);
    // Who comes meanwhile is served by the old one.
    expect(b.keeper.current()?.expose()).toBe("first");
    await b.settle({ token: b.token("second") });
    expect(b.keeper.current()?.expose()).toBe("second");
    expect(b.told).toEqual([{ result: "success", rotated: false, expiresInSeconds: 3600 }]);
  });

  test("without a known end it is never refreshed by time", () => {
    const b = bench();
    b.keeper.adopt(b.origin, { secret: new Secret("endless"), expiresAtMs: undefined });
    b.clock.advance(1000 * hourMs);
    b.keeper.tick();
    expect([b.asked.length, b.keeper.current()?.expose()]).toEqual([0, "endless"]);
  });

  test("a clock that is set back does not keep a dead token alive, nor one set forth a spent one", () => {
    const back = bench();
    back.clock.advance(hourMs);
    back.clock.setNow(back.clock.now() - 10 * hourMs);
    expect(back.keeper.current()).toBeUndefined();
    const forth = bench();
    forth.clock.setNow(forth.clock.now() + hourMs);
    expect(forth.keeper.current()).toBeUndefined();
  });
});

describe("one refresh at a time", () => {
  test("200 that wait, and 200 refused ones: one question", async () => {
    const b = bench();
    b.clock.advance(hourMs);
    const waiting = Array.from({ length: 200 }, () => b.keeper.acquire());
    const refused = Array.from({ length: 200 }, () => b.keeper.renew(new Secret("first")));
    expect(b.asked).toHaveLength(1);
    await b.settle({ token: b.token("second") });
    expect(new Set((await Promise.all(waiting)).map((s) => s?.expose()))).toEqual(
      new Set(["second"]),
    );
    expect(new Set(await Promise.all(refused))).toEqual(new Set([true]));
    expect(b.told).toHaveLength(1);
  });

  test("a 401 on an old token asks nobody; one on a new token is no reason to ask", async () => {
    const b = bench();
    const first = b.keeper.renew(new Secret("first"));
    await b.settle({ token: b.token("second") });
    expect(await first).toBe(true);
    expect(await b.keeper.renew(new Secret("first"))).toBe(true);
    expect(await b.keeper.renew(new Secret("second"))).toBe(false);
    expect(b.asked).toHaveLength(0);
    b.clock.advance(30_000);
    void b.keeper.renew(new Secret("second"));
    expect([b.asked.length, b.known.at(-1)]).toEqual([1, "second"]);
  });

  test("what another process has got is used, and not told again", async () => {
    const b = bench();
    b.clock.advance(hourMs);
    const got = b.keeper.acquire();
    await b.settle({ token: b.token("theirs"), found: true });
    expect((await got)?.expose()).toBe("theirs");
    expect(b.told).toEqual([]);
  });
});

describe("failures", () => {
  test("the wait doubles up to five minutes; nobody waits for one that can't be asked", async () => {
    const b = bench();
    b.clock.advance(hourMs);
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      const got = b.keeper.acquire();
      expect(b.asked).toHaveLength(1);
      await b.settle({ failed: "status_500" });
      expect(await got).toBeUndefined();
      expect(await b.keeper.acquire()).toBeUndefined();
      expect(b.asked).toHaveLength(0);
      waits.push(Math.round(b.keeper.waitMs));
      b.clock.advance(b.keeper.waitMs);
    }
    expect(waits.slice(0, 4)).toEqual([900, 1800, 3600, 7200]);
    expect(waits.at(-1)).toBe(270_000);
    expect(b.told).toHaveLength(12);
    expect(b.told[0]).toEqual({ result: "failure", reason: "status_500" });
  });

  test("the old token serves as long as it is good", async () => {
    const b = bench();
    b.clock.advance(hourMs - 60_000);
    b.keeper.tick();
    await b.settle({ failed: "unreachable" });
    expect(b.keeper.current()?.expose()).toBe("first");
    expect(b.keeper.lastError).toBe("unreachable");
  });

  test("a server's Retry-After is longer than ours", async () => {
    const b = bench();
    b.clock.advance(hourMs);
    b.keeper.tick();
    await b.settle({ failed: "slow_down", retryAfterSeconds: 120 });
    expect(b.keeper.waitMs).toBe(120_000);
  });

  test("a grant that is over is not asked for again, until the file has another one", async () => {
    const b = bench();
    b.clock.advance(hourMs);
    b.keeper.tick();
    await b.settle({ failed: "invalid_grant", isFinal: true });
    b.clock.advance(1000 * hourMs);
    b.keeper.tick();
    expect(await b.keeper.acquire()).toBeUndefined();
    b.keeper.adopt(scripted("one").origin, undefined);
    b.keeper.tick();
    expect([b.asked.length, b.keeper.isOver, b.keeper.lastError]).toEqual([
      0,
      true,
      "invalid_grant",
    ]);
    const errors = b.log.lines.filter(({ level }) => level === "error");
    expect(errors.map(({ message }) => message)).toEqual([
      "credential is disabled until its file changes: log in again, or replace it",
    ]);
    const other = scripted("two");
    b.keeper.adopt(other.origin, b.token("from the file"));
    expect([b.keeper.isOver, b.keeper.lastError]).toEqual([false, undefined]);
    expect(b.keeper.current()?.expose()).toBe("from the file");
  });

  test("an origin that throws is a failure like any other", async () => {
    const b = bench();
    const origin: TokenOrigin = { fingerprint: "x", renew: () => Promise.reject(new Error("x")) };
    b.keeper.adopt(origin, undefined);
    expect(await b.keeper.acquire()).toBeUndefined();
    expect(b.keeper.lastError).toBe("internal");
  });

  test("a failure that comes after the file was replaced says nothing about the new one", async () => {
    const b = bench();
    b.clock.advance(hourMs);
    b.keeper.tick();
    b.keeper.adopt(scripted("two").origin, b.token("new"));
    await b.settle({ failed: "invalid_grant", isFinal: true });
    expect([b.keeper.isOver, b.keeper.current()?.expose()]).toEqual([false, "new"]);
  });
});
