import type { Gauge, ReadGauge } from "./contract/policy.ts";
import type { House } from "./host.ts";
import { processUsage } from "./runtime/process.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { version } from "./version.ts";

/**
 * What the house itself can tell of its state.
 * @param generations how many configurations still serve
 */
export function houseGauges(
  house: House,
  runtime: Pick<Runtime, "name" | "version">,
  generations: () => number,
): readonly Gauge[] {
  const { live, budget, clock } = house;
  const startedAt = clock.now() / 1000;
  return [
    one("cliproxy_requests_in_flight", "Requests that run now.", () => live.size),
    one("cliproxy_body_held_bytes", "Bytes of request bodies in memory.", () => budget.held),
    one("cliproxy_generations", "Configurations that serve or finish requests.", generations),
    one("cliproxy_reload_rejected", "1: the last reload was refused.", () =>
      Number(house.reloadRejected),
    ),
    ...house.tokens.gauges,
    one("cliproxy_draining", "1: new requests are refused.", () => Number(house.draining)),
    many("cliproxy_build_info", "What runs here.", ["version", "runtime"], (set) =>
      set(1, version, `${runtime.name} ${runtime.version}`),
    ),
    one("process_cpu_seconds_total", "CPU time of the process.", () => processUsage().cpuSeconds),
    one("process_resident_memory_bytes", "Memory of the process.", () => processUsage().rssBytes),
    one("process_heap_bytes", "Heap in use.", () => processUsage().heapBytes),
    one("process_open_fds", "Open files and sockets.", () => processUsage().openFiles),
    one("process_start_time_seconds", "When the process began, since 1970.", () => startedAt),
  ];
}

function one(name: string, help: string, read: () => number): Gauge {
  return many(name, help, [], (set) => set(read()));
}

function many(name: string, help: string, labels: readonly string[], read: ReadGauge): Gauge {
  return { name, help, labels, read };
}
