import { Hono } from "hono";
import type { Catalog } from "./catalog.ts";
import type { Dialect } from "./contract/plugin.ts";
import type { Surface } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import { type ExchangeHouse, type ExchangeRoute, RunningExchange } from "./exchange.ts";
import { type CallHouse, handleCall } from "./handle.ts";
import { defineFactKeys, type FactKeys } from "./kit/json-facts.ts";
import type { Pipeline } from "./pipeline.ts";
import { answer, refuse } from "./reply.ts";
import type { Transport } from "./runtime/runtime.ts";

export interface AppParts extends CallHouse {
  /** In order of names; the first is spoken where nothing tells which. */
  readonly dialects: readonly Dialect[];
  readonly pipelines: Readonly<Record<Surface, Pipeline>>;
  readonly catalog: Catalog;
  readonly house: ExchangeHouse;
  readonly concurrentRequests: number;
  /** The generation takes hold of a request; false: it is draining. */
  enter(): boolean;
  /** Answers of the health endpoints, before the pipeline: they reveal nothing. */
  health(path: string): Response;
}

type Env = { Bindings: Transport };
type Answer = Response | Promise<Response>;
/** `model` is what a model route names. */
type Walk = (x: RunningExchange, model: string | undefined) => Answer;

/** The route table of one generation: each handler is one straight walk, built here. */
export function createApp(parts: AppParts): Hono<Env> {
  const app = new Hono<Env>();
  for (const path of ["/healthz", "/health", "/readyz"]) {
    app.get(path, () => parts.health(path));
  }
  for (const [path, byMethod] of groupRoutes(parts)) {
    const allowed = [...byMethod.keys()].flatMap((m) => (m === "GET" ? [m, "HEAD"] : [m]));
    const refusal: Refusal = { code: "method_not_allowed", headers: { allow: allowed.join(", ") } };
    // One handler a path: with two that match, Hono would compose them anew for each request.
    app.all(path, (c) => {
      const request = c.req.raw;
      const method = request.method === "HEAD" ? "GET" : request.method;
      const stop = stopFor(byMethod.get(method), request);
      if (stop === undefined) return runOther(parts, request, c.req.path, c.env, refusal);
      const model = stop.isList ? c.req.param("model") : undefined;
      return run(parts, request, c.req.path, stop.route, c.env, stop.walk, model);
    });
  }
  app.notFound((c) => runOther(parts, c.req.raw, c.req.path, c.env, { code: "not_found" }));
  return app;
}

/** What answers a route in one dialect. */
interface Stop {
  readonly dialect: Dialect;
  readonly route: ExchangeRoute;
  readonly walk: Walk;
  readonly isList: boolean;
}

/** All stops by path and method; dialects that share a route are asked in order. */
function groupRoutes(parts: AppParts): Map<string, Map<string, Stop[]>> {
  const paths = new Map<string, Map<string, Stop[]>>();
  for (const dialect of parts.dialects) {
    for (const { method, path, surface } of dialect.routes) {
      const byMethod = paths.get(path) ?? new Map<string, Stop[]>();
      const stops = byMethod.get(method) ?? [];
      const route = { surface, dialect, pipeline: parts.pipelines[surface] };
      const isList = surface === "models";
      stops.push({ dialect, route, walk: walkOf(surface, dialect, parts), isList });
      paths.set(path, byMethod.set(method, stops));
    }
  }
  return paths;
}

function stopFor(stops: readonly Stop[] | undefined, request: Request): Stop | undefined {
  if (stops === undefined || stops.length === 1) return stops?.[0];
  return stops.find(({ dialect }) => recognises(dialect, request)) ?? stops[stops.length - 1];
}

function recognises(dialect: Dialect, request: Request): boolean {
  return dialect.recognises((name) => request.headers.get(name));
}

function walkOf(surface: Surface, dialect: Dialect, parts: AppParts): Walk {
  if (surface === "models") return (x, model) => listModels(x, model, parts);
  const keys: FactKeys = defineFactKeys(dialect.factKeys);
  return (x) => handleCall(x, parts, keys);
}

/** Takes a request in, and lets nothing out of the house but an answer. */
function run(
  parts: AppParts,
  request: Request,
  path: string,
  route: ExchangeRoute,
  transport: Transport,
  walk: Walk,
  model: string | undefined,
): Answer {
  const open = parts.enter();
  const x = new RunningExchange(request, path, route, parts.house, transport);
  try {
    if (!open) return refuse(x, shuttingDown);
    if (parts.house.live.size > parts.concurrentRequests) return refuse(x, overloaded);
    const answered = walk(x, model);
    return answered instanceof Promise ? answered.catch((e) => fail(parts, x, e)) : answered;
  } catch (error) {
    return fail(parts, x, error);
  }
}

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

/** What is not on the map walks the same way: strangers learn nothing from it. */
function runOther(
  parts: AppParts,
  request: Request,
  path: string,
  transport: Transport,
  refusal: Refusal,
): Answer {
  const { dialects } = parts;
  const dialect =
    dialects.find((d) => d.routes.some((r) => path.startsWith(r.path) && r.surface !== "models")) ??
    dialects.find((d) => recognises(d, request)) ??
    (dialects[0] as Dialect);
  const route = { surface: "other" as const, dialect, pipeline: parts.pipelines.other };
  const walk: Walk = async (x) => refuse(x, (await x.route.pipeline.request(x)) ?? refusal);
  return run(parts, request, path, route, transport, walk, undefined);
}

async function listModels(
  x: RunningExchange,
  wanted: string | undefined,
  parts: AppParts,
): Promise<Response> {
  const refused = await x.route.pipeline.request(x);
  if (refused !== undefined) return refuse(x, refused);
  const models = await parts.catalog.list(x.dialect);
  const { dialect } = x.route;
  if (wanted === undefined) return answer(x, dialect.listModels(models));
  const model = models.find(({ id }) => id === wanted);
  if (model === undefined) return refuse(x, { code: "model_not_found" });
  return answer(x, dialect.oneModel(model));
}
