import { describe, expect, test } from "bun:test";
import { Secret } from "../../src/kit/secret.ts";
import {
  type NewTokens,
  refreshOrigin,
  type StoredTokens,
  type TokenFile,
} from "../../src/oauth/refresh-origin.ts";
import type { Post } from "../../src/oauth/token-endpoint.ts";
import { createFakeClock } from "../harness/fake-clock.ts";

const client = { clientId: "cli", clientSecret: undefined, method: "none" } as const;
const by = { tokenUrl: "https://a.example/token", client, scopes: [] };

/** A file in memory, on a disk that may fail, and a server that answers what it is told to. */
function bench(more: Partial<StoredTokens> = {}) {
  const clock = createFakeClock();
  let held: StoredTokens | undefined = {
    access: { secret: new Secret("old"), expiresAtMs: clock.now() },
    refreshToken: new Secret("r1"),
    by,
    ...more,
  };
  const bench = {
    ...{ clock, asked: [] as string[], isLocked: false },
    disk: undefined as string | undefined,
    answer: { access_token: "new", expires_in: 60 } as object,
    meanwhile: (): void => {},
    put(next: StoredTokens | undefined): void {
      held = next;
    },
    get held() {
      return held;
    },
  };
  const file: TokenFile = {
    alone: async (work) => (bench.isLocked ? undefined : work()),
    read: () => held,
    async write(used: Secret, { access, refreshToken }: NewTokens) {
      if (bench.disk !== undefined) throw Object.assign(new Error("no"), { code: bench.disk });
      if (held?.refreshToken?.expose() !== used.expose()) return false;
      held = { ...held, access, refreshToken: refreshToken ?? held.refreshToken };
      return true;
    },
  };
  const post: Post = async ({ form }) => {
    bench.asked.push(form.refresh_token ?? "");
    clock.advance(1000);
    bench.meanwhile();
    const status = "error" in bench.answer ? 400 : 200;
    return { status, text: JSON.stringify(bench.answer), retryAfterSeconds: undefined };
  };
  const origin = refreshOrigin(file, held, post, clock);
  const renew = async (known = "old") => {
    const renewal = await origin.renew(new Secret(known));
    return "failed" in renewal
      ? renewal
      : { ...renewal, token: renewal.token.secret.expose(), endsAtMs: renewal.token.expiresAtMs };
  };
  return Object.assign(bench, { origin, renew });
}

describe("a refresh", () => {
  test("is on disk when it is told, and its life counts from the question", async () => {
    const b = bench();
    const endsAtMs = b.clock.now() + 60_000;
    expect(await b.renew()).toEqual({ token: "new", rotated: false, endsAtMs });
    expect([b.held?.access?.secret.expose(), b.held?.refreshToken?.expose()]).toEqual([
      "new",
      "r1",
    ]);
  });

  test("tells of a refresh token that was replaced, and keeps it", async () => {
    const b = bench();
    b.answer = { access_token: "new", refresh_token: "r2" };
    expect(await b.renew()).toMatchObject({ rotated: true });
    expect(b.held?.refreshToken?.expose()).toBe("r2");
  });

  const other = (leftMs: number) => ({
    secret: new Secret("theirs"),
    expiresAtMs: createFakeClock().now() + leftMs,
  });
  test.each([
    ["another process's token is used", other(5001), "theirs", 0],
    ["but not one that is about to end", other(5000), "new", 1],
  ])("%s", async (_name, access, token, asked) => {
    const b = bench({ access });
    expect(await b.renew()).toMatchObject({ token });
    expect(b.asked).toHaveLength(asked);
  });
});

describe("no refresh", () => {
  test.each([
    ["without a refresh token", { refreshToken: undefined }, "no_refresh_token"],
    ["without a client", { by: undefined }, "no_client"],
  ])("%s, and never again", async (_name, more, failed) => {
    const b = bench(more);
    expect(await b.renew()).toEqual({ failed, isFinal: true });
    expect(b.asked).toEqual([]);
  });

  test("while another process holds the lock, or of a file that is gone", async () => {
    const b = bench();
    b.isLocked = true;
    expect(await b.renew()).toEqual({ failed: "locked" });
    b.isLocked = false;
    b.put(undefined);
    expect(await b.renew()).toEqual({ failed: "file_gone" });
    expect(b.asked).toEqual([]);
  });

  test("of a file that changes on the way: what is there now stays", async () => {
    const b = bench();
    b.meanwhile = () => b.put({ access: undefined, refreshToken: new Secret("r9"), by });
    expect(await b.renew()).toEqual({ failed: "file_changed" });
    expect(b.held?.refreshToken?.expose()).toBe("r9");
  });

  test("invalid_grant is final only of the refresh token that is there", async () => {
    const b = bench();
    b.answer = { error: "invalid_grant" };
    expect(await b.renew()).toMatchObject({ failed: "invalid_grant", isFinal: true });
    b.meanwhile = () => b.put({ access: undefined, refreshToken: new Secret("r2"), by });
    expect(await b.renew()).toMatchObject({ failed: "invalid_grant", isFinal: false });
    b.answer = { error: "temporarily_unavailable" };
    expect(await b.renew()).toEqual({ failed: "temporarily_unavailable" });
  });
});

describe("a disk that is full", () => {
  test("a token whose refresh token stays is used, with a warning", async () => {
    const b = bench();
    b.disk = "ENOSPC";
    const warning = "the credential's file can't be written: ENOSPC";
    expect(await b.renew()).toMatchObject({ token: "new", warning });
  });

  test("a replaced one is used only once it is on disk, and is not asked for again", async () => {
    const b = bench();
    b.disk = "ENOSPC";
    b.answer = { access_token: "new", refresh_token: "r2" };
    for (let i = 0; i < 2; i++) expect(await b.renew()).toMatchObject({ failed: "not_written" });
    expect(b.asked).toEqual(["r1"]);
    b.disk = undefined;
    expect(await b.renew()).toMatchObject({ token: "new", rotated: true });
    expect([b.asked, b.held?.refreshToken?.expose()]).toEqual([["r1"], "r2"]);
  });

  test("a file with another refresh token is not overwritten by what waits", async () => {
    const b = bench();
    b.disk = "ENOSPC";
    b.answer = { access_token: "new", refresh_token: "r2" };
    await b.renew();
    b.disk = undefined;
    b.put({ access: undefined, refreshToken: new Secret("r9"), by });
    b.answer = { access_token: "newer" };
    expect(await b.renew()).toMatchObject({ token: "newer" });
    expect([b.asked, b.held?.refreshToken?.expose()]).toEqual([["r1", "r9"], "r9"]);
  });
});

test("the fingerprint tells every part of what is asked, and not the access token", () => {
  const print = (more: Partial<StoredTokens>) => bench(more).origin.fingerprint;
  const secret = new Secret("s");
  const others: Partial<StoredTokens>[] = [
    {},
    { refreshToken: new Secret("r2") },
    { by: undefined },
    { by: { ...by, tokenUrl: "https://b.example/token" } },
    { by: { ...by, scopes: ["a"] } },
    { by: { ...by, client: { ...client, clientId: "other" } } },
    { by: { ...by, client: { ...client, clientSecret: secret, method: "client_secret_post" } } },
    { by: { ...by, client: { ...client, clientSecret: secret, method: "client_secret_basic" } } },
  ];
  expect(new Set(others.map(print)).size).toBe(others.length);
  expect(print({ access: undefined })).toBe(print({}));
});
