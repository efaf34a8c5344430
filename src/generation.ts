import { type AppParts, createApp, type Fetch } from "./app.ts";
import { createCatalog } from "./catalog.ts";
import { createFindClient } from "./client-address.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Dialect } from "./contract/plugin.ts";
import type { SecurityEvent } from "./contract/policy.ts";
import type { Enforcement } from "./enforcement.ts";
import type { House } from "./host.ts";
import { createIpSet } from "./kit/ip-set.ts";
import type { Plan } from "./plan.ts";
import type { ActiveProvider } from "./providers.ts";
import { createRouter } from "./router.ts";
import type { Runtime } from "./runtime/runtime.ts";
import type { LoggingSettings, ServerSettings } from "./settings.ts";

/** A configuration that was built whole: it serves until the next one takes over. */
export interface Generation {
  readonly number: number;
  readonly fetch: Fetch;
  /** What every response carries, the bare 500 included. */
  readonly headers: Readonly<Record<string, string>>;
  readonly server: ServerSettings;
  readonly logging: LoggingSettings;
  readonly authDir: string;
  readonly plan: Plan;
  readonly warnings: readonly string[];
  emit(event: SecurityEvent): void;
  /** A problem at a dotted path of its configuration. */
  problemAt(path: string, message: string, mend: string): ConfigProblem;
  /** Lets no further request in; what it holds is disposed when its last exchange has ended. */
  retire(): void;
  /** Exchanges that still run. */
  readonly running: number;
}

let generations = 0;

/** What a generation is made of. */
export interface GenerationParts
  extends Pick<Generation, "server" | "logging" | "authDir" | "plan" | "warnings" | "problemAt"> {
  readonly house: House;
  readonly enforcement: Enforcement;
  readonly dialects: readonly Dialect[];
  readonly providers: readonly ActiveProvider[];
  readonly openStream: Runtime["openStream"];
}

/** Puts a generation together; it holds the parts until `retire` and its last exchange. */
export function createGeneration(parts: GenerationParts): Generation {
  const { house, server, enforcement, dialects, providers } = parts;
  const { pipelines, headers, emit } = enforcement;
  const proxies = createIpSet(server.trustedProxies.map(({ range }) => range));
  const findClient = createFindClient(proxies, server.forwardedHeader);
  const log = house.log.child("proxy");
  let running = 0;
  let retired = false;
  const dispose = (): void => {
    for (const provider of providers) provider.pool?.close();
    enforcement.dispose();
  };
  const release = (): void => {
    running -= 1;
    if (retired && running === 0) dispose();
  };
  const fetch = createApp({
    dialects,
    pipelines,
    catalog: createCatalog(providers, house.clock, log),
    router: createRouter(providers),
    house: { live: house.live, mono: house.clock.mono, release, findClient, headers },
    limits: {
      bodyBytes: server.bodyBytes,
      bodyBytesInFlight: server.bodyBytesInFlight,
      bodyTimeoutMs: server.bodyTimeout,
      writeStallMs: server.writeStall,
    },
    budget: house.budget,
    openStream: parts.openStream,
    concurrentRequests: server.concurrentRequests,
    log,
    health: (path) => health(house, headers, path),
    enter() {
      running += 1;
      return !house.draining;
    },
  } satisfies AppParts);
  generations += 1;
  const { logging, authDir, plan, warnings, problemAt } = parts;
  return {
    ...{ number: generations, fetch, headers, server, logging, authDir, plan, warnings, emit },
    problemAt,
    retire() {
      if (retired) return;
      retired = true;
      if (running === 0) dispose();
    },
    get running() {
      return running;
    },
  };
}

/** `/readyz` is 503 only while draining; a refused reload shows in its body. */
function health(house: House, headers: Readonly<Record<string, string>>, path: string): Response {
  const ready = path !== "/readyz" || !house.draining;
  const body = {
    status: ready ? "ok" : "draining",
    ...(path === "/readyz" && { reload: house.reloadRejected ? "rejected" : "ok" }),
  };
  return Response.json(body, {
    status: ready ? 200 : 503,
    headers: { ...headers, "cache-control": "no-store" },
  });
}
