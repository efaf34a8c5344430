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
  const methods = new Map<string, string[]>();
  for (const [key, group] of groupRoutes(parts.dialects)) {
    const [method = "", path = ""] = key.split(" ");
    methods.set(path, [...(methods.get(path) ?? []), method]);
    const stops = group.map(({ dialect, surface }) => ({
      dialect,
      route: { surface, dialect, pipeline: parts.pipelines[surface] },
      walk: walkOf(surface, dialect, parts),
    }));
    const isList = group[0]?.surface === "models";
    app.on(method, path, (c) => {
      const request = c.req.raw;
      const stop =
        stops.length === 1 ? stops[0] : stops.find((s) => recognises(s.dialect, request));
      const { route, walk } = stop ?? (stops[stops.length - 1] as (typeof stops)[number]);
      const model = isList ? c.req.param("model") : undefined;
      return run(parts, request, c.req.path, route, c.env, walk, model);
    });
  }
  for (const [path, allowed] of methods) {
    const headers = { allow: allowed.includes("GET") ? `${allowed}, HEAD` : `${allowed}` };
    app.all(path, (c) =>
      runOther(parts, c.req.raw, c.req.path, c.env, { code: "method_not_allowed", headers }),
    );
  }
  app.notFound((c) => runOther(parts, c.req.raw, c.req.path, c.env, { code: "not_found" }));
  return app;
}

/** Routes that several dialects share, by method and path. */
function groupRoutes(dialects: readonly Dialect[]) {
  const groups = new Map<string, { readonly dialect: Dialect; readonly surface: Surface }[]>();
  for (const dialect of dialects) {
    for (const { method, path, surface } of dialect.routes) {
      const key = `${method} ${path}`;
      const group = groups.get(key) ?? [];
      group.push({ dialect, surface });
      groups.set(key, group);
    }
  }
  return groups;
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
