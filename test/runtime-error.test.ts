import { afterAll, expect, test } from "bun:test";
import { bunRuntime } from "../src/runtime/bun.ts";
import { cleanUp, onCleanup } from "./harness/cleanup.ts";

afterAll(cleanUp);

test("what escapes a handler is a bare 500 with the headers of the house", async () => {
  const seen: unknown[] = [];
  const listener = await bunRuntime.listen({
    host: "127.0.0.1",
    port: 0,
    tls: undefined,
    handle: () => Promise.reject(new Error("a secret in a message")),
    onError(error) {
      seen.push(error);
      return { "x-frame-options": "DENY" };
    },
  });
  onCleanup(() => listener.close());
  const answer = await fetch(`http://127.0.0.1:${listener.port}/`);
  expect([answer.status, answer.headers.get("x-frame-options")]).toEqual([500, "DENY"]);
  expect(await answer.text()).toBe("");
  expect(seen).toHaveLength(1);
});
