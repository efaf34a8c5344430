import { type Context, Hono } from "hono";
import type { Catalog } from "./catalog.ts";
import type { Dialect } from "./contract/plugin.ts";
import type { SecurityEvent } from "./contract/policy.ts";
import type { Surface } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import { type ExchangeHouse, type ExchangeRoute, RunningExchange } from "./exchange.ts";
import { type CallHouse, handleCall } from "./handle.ts";
import { checkHead } from "./head-check.ts";
import { defineFactKeys, type FactKeys } from "./kit/fact-keys.ts";
import { adminDialect } from "./management/dialect.ts";
import type { MountedOperation } from "./management/handle.ts";
import { adminRoot } from "./management/mount.ts";
import { type AdminWalk, adminPaths, unknownPath } from "./management/routes.ts";
import type { Pipeline } from "./pipeline.ts";
import { answer, refuse } from "./reply.ts";
import type { Transport } from "./runtime/runtime.ts";

export interface AppParts extends Omit<CallHouse, "fail"> {
  /** In order of names; the first is spoken where nothing tells which. */
  readonly dialects: readonly Dialect[];
  readonly pipelines: Readonly<Record<Surface, Pipeline>>;
  readonly catalog: Catalog;
  readonly house: ExchangeHouse;
  readonly concurrentRequests: number;
  /** The generation takes hold of a request; false: it is draining. */
  enter(): boolean;
  /** The management API. */
  readonly operations: readonly MountedOperation[];
  emit(event: SecurityEvent): void;
  /** Answers of the health endpoints, before the pipeline: they reveal nothing. */
  health(path: string): Response;
}

type Env = { Bindings: Transport };
type Answer = Response | Promise<Response>;
type Walk = (x: RunningExchange) => Answer;

/** Answers one request of one generation. */
export type Fetch = (request: Request, transport: Transport) => Answer;

/**
 * The route table of one generation: each route is one straight walk, built here.
 *
 * Hono holds the table. A path that stands in it literally is looked up before, since Hono's
 * context and two promises cost more than all policies (docs/decisions/005-literal-paths-first.md).
 */
export function createApp(parts: AppParts): Fetch {
  const app = new Hono<Env>();
  const literal = new Map<string, Map<string, Stop[]>>();
  for (const [path, byMethod] of [...groupRoutes(parts)].sort(openLast)) {
    if (!path.includes(":")) literal.set(path, byMethod);
    const allowed = [...byMethod.keys()].flatMap((m) => (m === "GET" ? [m, "HEAD"] : [m]));
    const refusal: Refusal = { code: "method_not_allowed", headers: { allow: allowed.join(", ") } };
    app.all(path, (c) => {
      const request = c.req.raw;
      const stop = stopFor(byMethod, request);
      if (stop === undefined) {
        return runOther(parts, request, c.req.path, c.env, wantsUpgrade(request) ?? refusal);
      }
      return run(parts, request, c.req.path, stop, c.env, c.req.param("target"));
    });
  }
  mountAdmin(app, parts);
  app.notFound((c) => runOther(parts, c.req.raw, c.req.path, c.env, notFound));
  return (request, transport) => {
    const path = literalPath(request.url);
    const wrong = checkHead(request, !healthPaths.has(path));
    if (wrong !== undefined) return runWrong(parts, request, path, transport, wrong);
    const stop = stopFor(literal.get(path), request);
    if (stop !== undefined) return run(parts, request, path, stop, transport, undefined);
    if (healthPaths.has(path) && isRead(request.method)) return parts.health(path);
    if (request.method === "HEAD" && probePaths.has(path)) return parts.health(path);
    // Without a Host (HTTP/1.0) the URL has no origin, and Hono would misread its path.
    if (request.url.startsWith("/")) return runOther(parts, request, path, transport, notFound);
    return app.fetch(request, transport);
  };
}

/**
 * Claude Code asks these first whether anything is there, without a key: a probe guesses nothing,
 * so it must not count as a failed login.
 */
const probePaths: ReadonlySet<string> = new Set(["/", "/api/hello"]);

/** The path as it was sent, between authority and query. */
function literalPath(url: string): string {
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("//") + 2);
  const end = url.indexOf("?", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

/** Hono takes the first pattern that fits: those that take any target go after all others. */
function openLast([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return Number(a.endsWith("{.+}")) - Number(b.endsWith("{.+}"));
}

/** What answers a route in one dialect. */
interface Stop {
  readonly dialect: Dialect;
  readonly route: ExchangeRoute;
  readonly walk: Walk;
}

/** Stops by path and method. */
type Stops = Map<string, Map<string, Stop[]>>;

/** All stops; dialects that share a route are asked in order. */
function groupRoutes(parts: AppParts): Stops {
  const paths: Stops = new Map();
  for (const dialect of parts.dialects) {
    for (const { method, path, surface } of dialect.routes) {
      const byMethod = paths.get(path) ?? new Map<string, Stop[]>();
      const stops = byMethod.get(method) ?? [];
      const route = { surface, dialect, pipeline: parts.pipelines[surface] };
      stops.push({ dialect, route, walk: walkOf(surface, dialect, parts) });
      paths.set(path, byMethod.set(method, stops));
    }
  }
  return paths;
}

function stopFor(
  byMethod: ReadonlyMap<string, readonly Stop[]> | undefined,
  request: Request,
): Stop | undefined {
  const { method } = request;
  const stops = byMethod?.get(method === "HEAD" ? "GET" : method);
  if (stops === undefined || stops.length === 1) return stops?.[0];
  return stops.find(({ dialect }) => recognises(dialect, request)) ?? stops[stops.length - 1];
}

function recognises(dialect: Dialect, request: Request): boolean {
  return dialect.recognises((name) => request.headers.get(name));
}

function walkOf(surface: Surface, dialect: Dialect, parts: AppParts): Walk {
  if (surface === "models") return guarded(parts, (x) => listModels(x, parts));
  const keys: FactKeys = defineFactKeys(dialect.factKeys, dialect.textKeys);
  const house: CallHouse = { ...parts, fail: (x, error) => fail(parts, x, error) };
  return (x) => handleCall(x, house, keys);
}

/** A walk whose failure is answered too; a model call guards itself, a promise cheaper. */
function guarded(parts: AppParts, walk: (x: RunningExchange) => Promise<Response>): Walk {
  return (x) => walk(x).catch((error: unknown) => fail(parts, x, error));
}

/** Takes a request in, and lets nothing out of the house but an answer. */
function run(
  parts: AppParts,
  request: Request,
  path: string,
  stop: Stop,
  transport: Transport,
  target: string | undefined,
): Answer {
  const open = parts.enter();
  const x = new RunningExchange(request, path, stop.route, parts.house, transport, target);
  try {
    if (!open) return refuse(x, shuttingDown);
    if (parts.house.live.size > parts.concurrentRequests) return refuse(x, overloaded);
    return stop.walk(x);
  } catch (error) {
    return fail(parts, x, error);
  }
}

const healthPaths = new Set(["/healthz", "/health", "/readyz"]);

function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

const notFound: Refusal = { code: "not_found" };
// RFC 9110, 15.5.22: the answer names the protocol to use.
const upgradeRequired: Refusal = {
  code: "upgrade_required",
  headers: { upgrade: "HTTP/1.1", connection: "upgrade" },
};
const shuttingDown: Refusal = {
  code: "shutting_down",
  retryAfterSeconds: 1,
  headers: { connection: "close" },
};
const overloaded: Refusal = { code: "overloaded", retryAfterSeconds: 1 };

function fail(parts: AppParts, x: RunningExchange, error: unknown): Answer {
  parts.log.error("request failed", { request: x.id, error });
  return refuse(x, { code: "internal" });
}

/** The management API: what is below its root stays its own, known or not. */
function mountAdmin(app: Hono<Env>, parts: AppParts): void {
  const route = {
    surface: "admin" as const,
    dialect: adminDialect,
    pipeline: parts.pipelines.admin,
  };
  const walked = (c: Context<Env>, walk: AdminWalk): Answer => {
    const stop: Stop = { dialect: adminDialect, route, walk: guarded(parts, walk) };
    return run(parts, c.req.raw, c.req.path, stop, c.env, undefined);
  };
  const { operations, budget, limits, emit } = parts;
  const house = { budget, emit, bodyBytesInFlight: limits.bodyBytesInFlight };
  for (const path of adminPaths(operations, house)) {
    app.all(path.pattern, (c) => walked(c, path.walk(c.req.method, c.req.param())));
  }
  app.all(adminRoot, (c) => walked(c, unknownPath));
  app.all(`${adminRoot}/*`, (c) => walked(c, unknownPath));
}

/** What is not on the map walks the same way: strangers learn nothing from it. */
function runOther(
  parts: AppParts,
  request: Request,
  path: string,
  transport: Transport,
  refusal: Refusal,
): Answer {
  const dialect = nearestDialect(parts.dialects, request, path);
  const route = { surface: "other" as const, dialect, pipeline: parts.pipelines.other };
  const message = refusal.code === "upgrade_required" ? undefined : dialect.unserved?.(path);
  const told = message === undefined ? refusal : { ...refusal, message };
  const walk: Walk = guarded(parts, async (x) =>
    refuse(x, (await x.route.pipeline.request(x)) ?? told),
  );
  return run(parts, request, path, { dialect, route, walk }, transport, undefined);
}

/** A client that would rather have a WebSocket falls back at once on this, and only on this. */
function wantsUpgrade(request: Request): Refusal | undefined {
  if (request.method !== "GET") return undefined;
  return request.headers.get("upgrade")?.toLowerCase() === "websocket"
    ? upgradeRequired
    : undefined;
}

/** Whose API a path that is not on the map is most like; equals are told apart by headers. */
function nearestDialect(dialects: readonly Dialect[], request: Request, path: string): Dialect {
  const segments = path.split("/");
  const shared = (route: string): number => {
    const at = route.split("/").findIndex((segment, i) => segment !== segments[i]);
    return at < 0 ? segments.length : at;
  };
  const likeness = dialects.map((d) => Math.max(0, ...d.routes.map((r) => shared(r.path))));
  const most = Math.max(...likeness);
  const nearest = dialects.filter((_, i) => likeness[i] === most);
  return nearest.find((d) => recognises(d, request)) ?? (nearest[0] as Dialect);
}

/** A head that could be read in two ways is shown to no policy but those that see every answer. */
function runWrong(
  parts: AppParts,
  request: Request,
  path: string,
  transport: Transport,
  refusal: Refusal,
): Answer {
  const dialect = nearestDialect(parts.dialects, request, path);
  const route = { surface: "other" as const, dialect, pipeline: parts.pipelines.other };
  const walk: Walk = (x) => refuse(x, refusal);
  return run(parts, request, path, { dialect, route, walk }, transport, undefined);
}

async function listModels(x: RunningExchange, parts: AppParts): Promise<Response> {
  const refused = await x.route.pipeline.request(x);
  if (refused !== undefined) return refuse(x, refused);
  const models = await parts.catalog.list(x.dialect, (model) => x.route.pipeline.lists(x, model));
  const { dialect } = x.route;
  if (x.target === undefined) return answer(x, dialect.listModels(models));
  const model = models.find(({ id }) => id === x.target);
  if (model === undefined) return refuse(x, { code: "model_not_found" });
  return answer(x, dialect.oneModel(model));
}
