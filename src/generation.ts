import { type AppParts, createApp, type Fetch } from "./app.ts";
import { createCatalog } from "./catalog.ts";
import { createFindClient } from "./client-address.ts";
import type { ConfigProblem } from "./config/problems.ts";
import type { Finding } from "./contract/finding.ts";
import type { PlannedListener, TlsPlan } from "./contract/listen.ts";
import type { Dialect } from "./contract/plugin.ts";
import type { SecurityEvent } from "./contract/policy.ts";
import type { CredentialFiles, Reread } from "./credential-files.ts";
import type { CredentialShelf } from "./credential-shelf.ts";
import type { Enforcement } from "./enforcement.ts";
import type { House } from "./host.ts";
import { createIpSet } from "./kit/ip-set.ts";
import { type CoreFacts, coreHandlers, coreOperations } from "./management/core.ts";
import { mountOperations } from "./management/mount.ts";
import type { Plan } from "./plan.ts";
import type { ActiveProvider } from "./providers.ts";
import { createRouter } from "./routing/router.ts";
import type { RoutingSettings } from "./routing/settings.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { tellDigests } from "./scripts/digests.ts";
import type { Scripts } from "./scripts/load.ts";
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
  /** Where its policies from disk are, and what they are made of. */
  readonly scripts: Pick<Scripts, "folders" | "parts">;
  /** Beside the one that clients call. */
  readonly listeners: readonly PlannedListener[];
  /** How the main listener speaks TLS; undefined: it doesn't. */
  readonly tls: TlsPlan | undefined;
  emit(event: SecurityEvent): void;
  /** Tells its policies that it serves. */
  adopted(): void;
  /** What its policies would have `doctor` know. */
  findings(): readonly Finding[];
  /** Reads the credential files again: the next request is served by what is in them now. */
  rereadCredentials(): Reread;
  /** A problem at a dotted path of its configuration. */
  problemAt(path: string, message: string, mend: string): ConfigProblem;
  /** Lets no further request in; what it holds is disposed when its last exchange has ended. */
  retire(): void;
  /** The process ends: disposes what it holds, whether or not something still runs. */
  end(): Promise<void>;
  /** Exchanges that still run. */
  readonly running: number;
}

let generations = 0;

/** What a generation is made of. */
export interface GenerationParts
  extends Pick<
    Generation,
    "server" | "logging" | "authDir" | "plan" | "warnings" | "problemAt" | "scripts"
  > {
  readonly house: House;
  readonly enforcement: Enforcement;
  readonly dialects: readonly Dialect[];
  readonly providers: readonly ActiveProvider[];
  readonly routing: RoutingSettings;
  readonly credentials: {
    readonly files: CredentialFiles;
    readonly shelves: ReadonlyMap<string, CredentialShelf>;
  };
  readonly runtime: Runtime;
}

/** Puts a generation together; it holds the parts until `retire` and its last exchange. */
export function createGeneration(parts: GenerationParts): Generation {
  const { house, server, enforcement, dialects, providers } = parts;
  const { pipelines, listeners, tls, headers, emit, findings } = enforcement;
  const { files, shelves } = parts.credentials;
  generations += 1;
  const number = generations;
  const proxies = createIpSet(server.trustedProxies.map(({ range }) => range));
  const findClient = createFindClient(proxies, server.forwardedHeader);
  const log = house.log.child("proxy");
  let running = 0;
  let retired = false;
  let disposed: Promise<void> | undefined;
  const dispose = (): Promise<void> => {
    disposed ??= (() => {
      for (const provider of providers) provider.pool?.close();
      return enforcement.dispose();
    })();
    return disposed;
  };
  const release = (): void => {
    running -= 1;
    if (retired && running === 0) void dispose();
  };
  const { name, version } = parts.runtime;
  const coreFacts: CoreFacts = { house, number, plan: parts.plan, runtime: `${name} ${version}` };
  const fetch = createApp({
    dialects,
    pipelines,
    catalog: createCatalog(providers, house.clock, log, dialects),
    router: createRouter(providers, dialects, parts.routing, house.clock),
    house: { live: house.live, mono: house.clock.mono, release, findClient, headers },
    limits: {
      bodyBytes: server.bodyBytes,
      bodyBytesInFlight: server.bodyBytesInFlight,
      bodyTimeoutMs: server.bodyTimeout,
      writeStallMs: server.writeStall,
      keepaliveMs: server.keepalive,
    },
    budget: house.budget,
    free: parts.runtime.free ?? (() => {}),
    openStream: parts.runtime.openStream,
    operations: [
      ...mountOperations("core", coreOperations, coreHandlers(coreFacts)),
      ...enforcement.operations,
    ],
    emit,
    concurrentRequests: server.concurrentRequests,
    log,
    health: (path) => health(house, headers, path),
    enter() {
      running += 1;
      return !house.draining;
    },
  } satisfies AppParts);
  const { logging, authDir, plan, warnings, problemAt, scripts } = parts;
  return {
    ...{ number, fetch, headers, server, logging, authDir, plan, warnings, problemAt },
    ...{ listeners, tls, emit, findings, scripts },
    adopted() {
      files.adopt(emit);
      enforcement.adopted();
      tellDigests(house, scripts.parts, emit);
    },
    rereadCredentials() {
      const reread = files.reread(shelves, emit);
      enforcement.credentialsRead();
      return reread;
    },
    retire() {
      if (retired) return;
      retired = true;
      if (running === 0) void dispose();
    },
    end: dispose,
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
