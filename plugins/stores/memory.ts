import { randomUUID } from "node:crypto";
import type { OpenStore, Store, StoreKind } from "../../src/contract/store.ts";
import { LocalState } from "../../src/kit/local-state.ts";

/** Keeps everything in the process, and forgets it with the process. */
export const store: StoreKind = {
  name: "memory",
  summary: "In the process: forgotten when it ends.",
  durable: false,
  open({ clock, durability }): OpenStore {
    const spaces = new Map<string, Store>();
    const series = `${randomUUID().slice(0, 8)}-`;
    return {
      loss: undefined,
      namespace(name) {
        const known = spaces.get(name);
        if (known !== undefined) return known;
        const made = Object.assign(new LocalState({ clock, series }), { durability, flush() {} });
        spaces.set(name, made);
        return made;
      },
      close() {},
    };
  },
};
