/**
 * Counts requests, errors, tokens and security events, and shows them to Prometheus on a listener
 * of its own. Whoever reaches that listener may read them: it stays on loopback unless
 * `metrics.host` says otherwise. A fault costs a number, never a request.
 */
import * as v from "valibot";
import { definePolicy, type Exchange, type PolicyHost } from "../../src/contract/policy.ts";
import { configFault } from "../../src/kit/config-fault.ts";
import { isLoopbackHost, isLoopbackListener } from "../../src/kit/loopback.ts";
import { doc, port } from "../../src/kit/schema.ts";
import { Counts, heardTypes } from "./counts.ts";

const schema = v.strictObject({
  enabled: v.optional(v.pipe(v.boolean(), doc("Serve metrics for Prometheus.")), false),
  port: v.optional(v.pipe(port(), doc("Port of the metrics' own listener.")), 9090),
  path: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\/[\w./-]{0,200}$/, "must begin with / and hold letters, digits and . _ - only"),
      doc("Where the metrics are."),
    ),
    "/metrics",
  ),
  host: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[a-z0-9.:%[\]_-]+$/i, "must be an address or a host name"),
      doc("Address of the metrics' listener; who reaches it may read them."),
    ),
    "127.0.0.1",
  ),
});
type Settings = v.InferOutput<typeof schema>;

export const policy = definePolicy({
  name: "metrics",
  summary: "Counts what happens, and shows it to Prometheus on a listener of its own.",
  stage: "observe",
  onFault: "open",
  covers: { surfaces: "all", streams: true, admin: true },
  config: {
    schema,
    keys: {
      enabled: "metrics.enabled",
      port: "metrics.port",
      path: "metrics.path",
      host: "metrics.host",
    },
  },
  create(settings, host) {
    if (!settings.enabled) return undefined;
    refuseClash(settings, host);
    const counts = host.keep("counts", () => new Counts());
    const { homes, serving } = host.facts;
    if (serving) prepare(counts, host);
    counts.expectProviders(Object.values(homes));
    const homeOf = (x: Exchange): string =>
      x.surface === "admin" ? "management" : (homes[x.dialect] ?? "none");
    return {
      hears: heardTypes,
      event: (event) => counts.event(event),
      attemptEnd: (_x, attempt, result) => counts.attemptEnd(attempt.provider, result),
      finish: (x, outcome) => counts.finish(x, outcome, homeOf(x)),
      listen: (plan) =>
        plan.add({
          name: "metrics",
          host: settings.host,
          port: settings.port,
          portKey: "metrics.port",
          path: settings.path,
          handle: (request) => answer(request, settings, counts, host),
        }),
    };
  },
});

function refuseClash(settings: Settings, { facts }: PolicyHost): void {
  if (settings.port === 0 || settings.port !== facts.listenPort) return;
  const everywhere = [settings.host, facts.listenHost].some((h) => h === "0.0.0.0" || h === "::");
  if (!everywhere && settings.host !== facts.listenHost) return;
  const message = `${settings.port} is the port that clients call`;
  throw configFault("metrics.port", message, "choose another port than server.port");
}

/** When the first scrape is prepared, in milliseconds after a start that must not wait for it. */
const prepareAfterMs = 300;

/** The first scrape would take a tenth of a second: the code is loaded, and run once, before. */
function prepare(counts: Counts, host: PolicyHost): void {
  const run = async (): Promise<void> => {
    const { scrape } = await import("./scrape.ts");
    await scrape(counts, host.gauges());
  };
  // Nobody is waiting: what fails here fails again, and is told, where it is asked for.
  const timer = setTimeout(() => void run().catch(() => {}), prepareAfterMs);
  timer.unref?.();
}

const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

async function answer(
  request: Request,
  { path, host: address }: Settings,
  counts: Counts,
  host: PolicyHost,
): Promise<Response> {
  const { method } = request;
  // A page can point its own name at loopback: then the browser would let it read.
  if (isLoopbackListener(address) && !isLoopbackHost(request.headers.get("host") ?? "")) {
    return say(403, "The Host header does not name this machine.\n");
  }
  if (new URL(request.url).pathname !== path) return say(404, `The metrics are at ${path}.\n`);
  if (method !== "GET" && method !== "HEAD") {
    return say(405, "The metrics can only be read.\n", { allow: "GET, HEAD" });
  }
  // Loaded where it is used, or soon after the start: the start itself stays fast.
  const { contentType, scrape } = await import("./scrape.ts");
  const text = await scrape(counts, host.gauges());
  const type = { "content-type": contentType };
  return new Response(method === "HEAD" ? null : text, { headers: { ...headers, ...type } });
}

function say(status: number, text: string, more: Record<string, string> = {}): Response {
  const type = { "content-type": "text/plain; charset=utf-8" };
  return new Response(text, { status, headers: { ...headers, ...type, ...more } });
}
