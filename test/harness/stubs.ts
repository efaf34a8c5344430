import * as v from "valibot";
import { store as memory } from "../../plugins/stores/memory.ts";
import { createFindClient, type FindClient } from "../../src/client-address.ts";
import type { Dialect, Problem, Provider, StreamReader } from "../../src/contract/plugin.ts";
import type {
  Call,
  CallFacts,
  Gauge,
  Hooks,
  Policy,
  PolicyHost,
  SecurityEvent,
} from "../../src/contract/policy.ts";
import type { OpenStore } from "../../src/contract/store.ts";
import type { Clock, Logger, Surface, Usage } from "../../src/contract/types.ts";
import { RunningExchange } from "../../src/exchange.ts";
import type { House } from "../../src/host.ts";
import { createIpSet } from "../../src/kit/ip-set.ts";
import { Secret } from "../../src/kit/secret.ts";
import { Live } from "../../src/live.ts";
import { TokenKeepers } from "../../src/oauth/token-keepers.ts";
import { type ActivePolicy, compilePipeline, type PipelineDeps } from "../../src/pipeline.ts";
import type { ActiveProvider, Credential } from "../../src/providers.ts";
import type { ByteSource, Pool } from "../../src/runtime/runtime.ts";
import type { HeldState } from "../../src/state.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";

/** A log that remembers. */
export interface LogLines extends Logger {
  readonly lines: { level: string; message: string; fields: unknown }[];
}

export function createLogLines(): LogLines {
  const lines: LogLines["lines"] = [];
  const at = (level: string) => (message: string, fields?: unknown) =>
    void lines.push({ level, message, fields });
  const log: LogLines = {
    lines,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => log,
  };
  return log;
}

const decoder = new TextDecoder();

/** The smallest dialect: lines of `data:`, complete once `data: end` was seen. */
export const lineDialect: Dialect = {
  name: "line",
  routes: [{ method: "POST", path: "/line", surface: "chat" }],
  recognises: () => true,
  factKeys: ["model", "stream"],
  readCall(fact, bodyBytes) {
    const model = fact("model");
    if (typeof model !== "string") return "model is missing: name one";
    return { model, stream: fact("stream") === true, maxTokens: undefined, bodyBytes };
  },
  error: ({ code, message }: Problem) => JSON.stringify({ code, message }),
  readUsage: (bytes) => readUsage(decoder.decode(bytes)),
  readStream(): StreamReader {
    let text = "";
    return {
      push(chunk) {
        text += decoder.decode(chunk);
      },
      end() {
        if (text.includes("data: failed")) return "error";
        return text.includes("data: end") ? "complete" : "truncated";
      },
      fail: ({ code }: Problem) => `data: error ${code}\n\n`,
      get usage() {
        return readUsage(text);
      },
    };
  },
  listModels: (models) => JSON.stringify(models.map((m) => m.id)),
  oneModel: (model) => model.id,
};

function readUsage(text: string): Usage | undefined {
  const found = /usage=(\d+)/.exec(text)?.[1];
  if (found === undefined) return undefined;
  const tokens = Number(found);
  return { inputTokens: tokens, outputTokens: tokens, cachedTokens: 0, reasoningTokens: 0 };
}

export interface StubHouse {
  readonly clock: FakeClock;
  readonly live: Live;
  /** Ids of the exchanges that have let go of their generation. */
  readonly released: number[];
  readonly held: string[];
}

export function createStubHouse(): StubHouse {
  const clock = createFakeClock();
  return { clock, live: new Live(clock), released: [], held: [] };
}

export interface ExchangeOptions {
  readonly surface?: Surface;
  readonly method?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodyInit;
  readonly peer?: string;
  readonly signal?: AbortSignal;
  readonly policies?: readonly ActivePolicy[];
  readonly deps?: Partial<PipelineDeps>;
  readonly findClient?: FindClient;
  readonly houseHeaders?: Readonly<Record<string, string>>;
}

/** A real exchange over a made-up request. */
export function startExchange(house: StubHouse, options: ExchangeOptions = {}): RunningExchange {
  const url = options.url ?? "http://127.0.0.1:8317/line";
  const method = options.method ?? "POST";
  const request = new Request(url, {
    method,
    ...(options.headers && { headers: options.headers }),
    ...(options.body !== undefined && { body: options.body }),
    ...(options.signal && { signal: options.signal }),
  });
  const deps = { log: createLogLines(), hookDeadlineMs: 5, ...options.deps };
  const route = {
    surface: options.surface ?? ("chat" as const),
    dialect: lineDialect,
    pipeline: compilePipeline(options.policies ?? [], deps),
  };
  return new RunningExchange(
    request,
    new URL(url).pathname,
    route,
    {
      live: house.live,
      mono: house.clock.mono,
      release: () => void house.released.push(1),
      findClient: options.findClient ?? createFindClient(createIpSet([]), "x-forwarded-for"),
      headers: options.houseHeaders ?? {},
    },
    {
      peer: () => options.peer ?? "203.0.113.9",
      holdOpen: () => void house.held.push("open"),
    },
  );
}

export function activePolicy(
  name: string,
  hooks: Hooks,
  more: Partial<Omit<ActivePolicy, "name" | "hooks">> = {},
): ActivePolicy {
  return { name, stage: "guard", onFault: "closed", mode: "enforce", hooks, ...more };
}

export function credential(id: string, priority = 0): Credential {
  return { id, kind: "api_key", secret: new Secret(`secret-of-${id}`), priority };
}

const lineKind: Provider = {
  protocol: "line",
  summary: "A stub.",
  dialects: ["line"],
  baseUrl: undefined,
  version: "v1",
  credential: "required",
  path: () => "/line",
  authorize(headers, secret) {
    headers.authorization = `Bearer ${secret}`;
  },
  defaultHeaders: {},
  readModels: () => [],
};

export interface ProviderOptions {
  readonly name?: string;
  readonly kind?: Partial<Provider>;
  readonly credentials?: readonly Credential[];
  readonly models?: ActiveProvider["models"];
  readonly routing?: Partial<
    Pick<ActiveProvider, "priority" | "weight" | "selection" | "isMeasured" | "excludes">
  >;
  readonly fetch?: Pool["fetch"];
}

export function activeProvider(options: ProviderOptions = {}): ActiveProvider {
  const fetch = options.fetch ?? (() => Promise.reject(new Error("no network in unit tests")));
  return {
    name: options.name ?? "stub",
    kind: { ...lineKind, ...options.kind },
    dialects: options.kind?.dialects ?? lineKind.dialects,
    base: "http://127.0.0.1:1/v1",
    credentials: options.credentials ?? [credential("one")],
    timeouts: { firstByteMs: 1000, idleMs: 2000, totalMs: 10_000 },
    priority: 0,
    weight: 1,
    selection: "round_robin",
    isMeasured: false,
    excludes: () => false,
    ...options.routing,
    models: options.models,
    pool: { fetch, close() {} },
  };
}

/** A body that the runtime would write to the client, over plain web streams. */
export function openStream(source: ByteSource): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      let over = false;
      void source.run({
        write(bytes) {
          if (!over) controller.enqueue(bytes);
          return undefined;
        },
        close() {
          if (!over) controller.close();
          over = true;
        },
        cut() {
          if (!over) controller.error(new Error("cut"));
          over = true;
        },
      });
    },
    cancel: () => source.gone(),
  });
}

/** What a body says, of a call whose input is estimated at so many tokens. */
export function callOf(facts: Partial<CallFacts> = {}, inputTokens = 10): Call {
  const usual = { model: "m", stream: false, maxTokens: undefined, bodyBytes: 2 };
  return { ...usual, ...facts, inputTokens: () => inputTokens, texts: () => [] };
}

/** A store in memory. */
export function openMemory(clock: Clock): OpenStore {
  const options = { clock, log: createLogLines(), path: "", openDatabase: undefined };
  return memory.open({ ...options, durability: "volatile" }) as OpenStore;
}

/** The state of a process, in memory. */
export function stubState(clock: Clock): HeldState {
  const plan = { kind: memory, path: "", durability: "volatile" as const, warnings: [] };
  return { plan, store: openMemory(clock), settings: {} };
}

/** The part of a house that refreshes tokens: it has none. */
export function stubTokens(clock: Clock): Pick<House, "tokens" | "rereadCredentials"> {
  return { tokens: new TokenKeepers(clock, createLogLines()), rereadCredentials: async () => {} };
}

export interface StubHost extends PolicyHost {
  readonly events: SecurityEvent[];
  readonly announced: Parameters<PolicyHost["announce"]>[0][];
  readonly clock: FakeClock;
}

/** The house as one policy sees it. */
export function createStubHost(facts: Partial<PolicyHost["facts"]> = {}): StubHost {
  const kept = new Map<string, unknown>();
  const events: SecurityEvent[] = [];
  const gauges: Gauge[] = [];
  const announced: StubHost["announced"] = [];
  const clock = createFakeClock();
  return {
    events,
    announced,
    clock,
    log: createLogLines(),
    store: openMemory(clock).namespace("subject"),
    live: { size: 0, abort: () => 0 },
    facts: {
      authDir: "/nonexistent",
      listenHost: "127.0.0.1",
      listenPort: 8317,
      tls: false,
      clientCertificates: "none",
      mixesKeyKinds: true,
      speaksHttp2: true,
      choosesSuites: true,
      providers: ["a", "b", "one", "two"],
      credentialOwners: ["a", "b", "one", "two"],
      homes: { line: "home" },
      serving: false,
      ...facts,
    },
    emit: (event) => void events.push(event),
    hears: () => true,
    gauge: (name, help, labels, read) => void gauges.push({ name, help, labels, read }),
    gauges: () => gauges,
    announce: (made) => void announced.push(made),
    credentials: { tokenOf: () => undefined, reread: async () => {} },
    keep<T>(key: string, make: () => T): T {
      if (!kept.has(key)) kept.set(key, make());
      return kept.get(key) as T;
    },
  };
}

/** What the gauges of a policy tell, as `name label label: value`. */
export function readGauges(host: PolicyHost): string[] {
  return host.gauges().flatMap(({ name, read }) => {
    const series: string[] = [];
    read((value, ...labels) => void series.push(`${[name, ...labels].join(" ")}: ${value}`));
    return series;
  });
}

/** Builds the hooks of a policy from settings as its schema gives them. */
export async function hooksOf(
  policy: Policy,
  settings: unknown,
  host: PolicyHost,
): Promise<Hooks | undefined> {
  return policy.create(settings, host);
}

/** Builds the hooks of a policy that a configuration turns on. */
export function builderOf(policy: {
  readonly config: { readonly schema: v.GenericSchema };
}): (config?: object, host?: PolicyHost) => Promise<Hooks> {
  return async (config = {}, host = createStubHost()) => {
    const settings = v.parse(policy.config.schema, config);
    const hooks = await hooksOf(policy as unknown as Policy, settings, host);
    if (hooks === undefined) throw new Error("not configured");
    return hooks;
  };
}
