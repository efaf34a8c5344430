import { describe, expect, test } from "bun:test";
import type { PlannedListener } from "../src/contract/listen.ts";
import type { ListenOptions } from "../src/runtime/runtime.ts";
import { ListenFailure, SideListeners, toUrl } from "../src/side-listeners.ts";
import { createLogLines } from "./harness/stubs.ts";

/** A runtime whose ports can be taken, and which tells what is open. */
function createNet() {
  const open = new Map<number, ListenOptions>();
  const taken = new Set<number>();
  const listen = async (options: ListenOptions) => {
    const { host, port } = options;
    if (taken.has(port) || open.has(port)) {
      throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
    }
    open.set(port, options);
    return {
      host,
      port,
      renew: async () => {},
      drain: async () => {},
      close: () => void open.delete(port),
    };
  };
  return { open, taken, listen };
}

function planned(port: number, text = "one", name = "metrics"): PlannedListener {
  const handle = (): Response => new Response(text);
  return { name, host: "127.0.0.1", port, portKey: `${name}.port`, path: "/metrics", handle };
}

function createSide() {
  const net = createNet();
  const side = new SideListeners(net, createLogLines(), () => ({ "x-static": "1" }));
  const adopt = async (...plan: PlannedListener[]): Promise<void> =>
    (await side.prepare(plan)).adopt();
  const ask = async (port: number): Promise<string | undefined> => {
    const request = new Request("http://127.0.0.1/metrics");
    const transport = { peer: () => "", holdOpen: () => {} };
    const reply = await net.open.get(port)?.handle(request, transport);
    expect(reply?.headers.get("x-static")).toBe("1");
    return reply?.text();
  };
  return { net, side, adopt, ask };
}

describe("side listeners", () => {
  test("one lives through reloads; who answers changes", async () => {
    const { net, adopt, ask } = createSide();
    await adopt(planned(9090));
    const first = net.open.get(9090);
    await adopt(planned(9090, "two"));
    expect(net.open.get(9090)).toBe(first as ListenOptions);
    expect(await ask(9090)).toBe("two");
  });

  test("a new port is open before the old one closes", async () => {
    const { net, side, adopt, ask } = createSide();
    await adopt(planned(9090));
    const next = await side.prepare([planned(9091, "two")]);
    expect([...net.open.keys()]).toEqual([9090, 9091]);
    expect(await ask(9090)).toBe("one");
    next.adopt();
    expect([...net.open.keys()]).toEqual([9091]);
    expect(side.urls).toEqual({ metrics: "http://127.0.0.1:9091/metrics" });
  });

  test("one that is discarded leaves all as it was", async () => {
    const { net, side, adopt, ask } = createSide();
    await adopt(planned(9090));
    (await side.prepare([planned(9091, "two"), planned(9090, "two")])).discard();
    expect([...net.open.keys()]).toEqual([9090]);
    expect(await ask(9090)).toBe("one");
  });

  test("none is opened where one can't be", async () => {
    const { net, side, adopt } = createSide();
    await adopt(planned(9090));
    net.taken.add(9092);
    const failed = () => side.prepare([planned(9091), planned(9092, "two", "other")]);
    await expect(failed()).rejects.toThrow(ListenFailure);
    expect([...net.open.keys()]).toEqual([9090]);
  });

  test("one that is no longer planned closes", async () => {
    const { net, adopt } = createSide();
    await adopt(planned(9090));
    await adopt();
    expect(net.open.size).toBe(0);
  });

  test("all close at the end", async () => {
    const { net, side, adopt } = createSide();
    await adopt(planned(9090), planned(9091, "two", "other"));
    side.close();
    expect([net.open.size, side.urls]).toEqual([0, {}]);
  });

  const urls: readonly (readonly [host: string, url: string])[] = [
    ["127.0.0.1", "http://127.0.0.1:1"],
    ["0.0.0.0", "http://127.0.0.1:1"],
    ["::", "http://127.0.0.1:1"],
    ["::1", "http://[::1]:1"],
  ];
  test.each(urls)("%s is called %s", (host, url) => {
    expect(toUrl(host, 1)).toBe(url);
  });
});
