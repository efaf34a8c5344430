import { resolve as resolvePath } from "node:path";
import type { ConfigSource } from "../assembly.ts";
import type { Logger } from "../contract/types.ts";
import type { Generation } from "../generation.ts";
import type { Announcement, House } from "../host.ts";
import { createLogger } from "../log.ts";
import { currentRuntime, exit, onSignal, onStray } from "../runtime/process.ts";
import { type Server, startServer } from "../server.ts";
import { type Watch, type WatchedPlaces, watchFiles } from "../watch.ts";
import { type CommandContext, exitCodes } from "./frame.ts";
import { configSource, createHouse, hasChanged, refuseConfig, reread } from "./house.ts";
import { planLines } from "./plan.ts";
import { objectionOf, refuseCritical } from "./strict.ts";

/** Serves until a signal ends it. */
export async function run(context: CommandContext): Promise<number> {
  const runtime = await currentRuntime();
  const first = configSource(context);
  const isStrict = context.options.strict === true;
  if (isStrict) {
    const refused = await refuseCritical(context, first, runtime);
    if (refused !== undefined) return refused;
  }
  const { log, configure } = createProcessLog(context);
  const house = createHouse(log);
  onStray((error) => log.error("stray failure", { error }));
  let isFirst = true;
  const source = (): ConfigSource => {
    if (!isFirst) return reread(first);
    isFirst = false;
    return first;
  };
  const strict = isStrict && { objection: objectionOf(runtime) };
  const started = await startServer({ house, runtime, source, ...strict });
  if (!started.ok) return refuseConfig(context.io, started.problems);
  const { server } = started;
  configure(server.current);
  const files = followFiles(first.file, server, house, configure);
  // What was written between reading and watching would otherwise never be noticed.
  if (hasChanged(first)) void files.reload("file");
  const stopped = new Promise<number>((resolve) => {
    let stopping = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      onSignal(signal, () => {
        if (stopping) {
          server
            .end()
            .then(() => house.state?.store.close())
            .finally(() => exit(exitCodes.fine));
          return;
        }
        stopping = true;
        files.close();
        log.info("draining", { signal, running: house.live.size });
        server.drain().then(async ({ cut }) => {
          await house.state?.store.close();
          log.info("stopped", { cut });
          resolve(exitCodes.fine);
        });
      });
    }
  });
  // Last: whoever reads that it listens may end it at once.
  greet(context, server, house, first.file);
  return stopped;
}

/** Reloads on SIGHUP and when a file has changed; watches the folder that the last reload named. */
function followFiles(
  file: string | undefined,
  server: Server,
  house: House,
  configure: (generation: Generation) => void,
): { reload(cause: string): Promise<void>; close(): void } {
  const { log } = house;
  let watched = watchedPlaces(server.current);
  const watch = (): Watch =>
    watchFiles(file, watched, log, (what) => {
      if (what === "configuration") void reload("file");
      else if (rereadCredentials(server, log)) void reload("file");
    });
  let watcher = watch();
  const reload = async (cause: string): Promise<void> => {
    watcher.note();
    const reloaded = await server.reload();
    for (const { title, path } of house.announcements.splice(0)) {
      log.info(`${title} is in use`, { path });
    }
    if (!reloaded.ok) {
      const { reason } = reloaded;
      log.error("reload rejected: the configuration before it still serves", { cause, reason });
      return;
    }
    const { generation } = reloaded;
    configure(generation);
    log.info("reloaded", { cause, generation: generation.number });
    for (const warning of generation.warnings) log.warn(warning);
    const places = watchedPlaces(generation);
    if (JSON.stringify(places) === JSON.stringify(watched)) return;
    watcher.close();
    watched = places;
    watcher = watch();
  };
  onSignal("SIGHUP", () => void reload("SIGHUP"));
  return { reload, close: () => watcher.close() };
}

function watchedPlaces({ authDir, scripts, tls }: Generation): WatchedPlaces {
  return { credentials: authDir, others: scripts.folders, files: tls?.files ?? [] };
}

/** Returns whether that is not enough. */
function rereadCredentials(server: Server, log: Logger): boolean {
  const { changed, needsReload, warnings } = server.rereadCredentials();
  if (changed) log.info("credentials changed");
  for (const warning of warnings) log.warn(warning);
  return needsReload;
}

/** The log takes its level from the configuration, which may change while it is written to. */
function createProcessLog(context: CommandContext): {
  log: Logger;
  configure(generation: Generation): void;
} {
  let level: Generation["logging"]["level"] = "info";
  let format: Generation["logging"]["format"] = "json";
  const log = createLogger({
    level: () => level,
    format: () => format,
    write: (line) => context.io.err(`${line}\n`),
  });
  return {
    log,
    configure({ logging }) {
      level = logging.level;
      format = logging.format;
    },
  };
}

/** What a newcomer needs to see: the address, the key, a request to paste, what is enforced. */
function greet(
  context: CommandContext,
  server: Server,
  house: House,
  file: string | undefined,
): void {
  const { io } = context;
  const { current, url, sideUrls } = server;
  const keys = house.announcements.splice(0);
  if (io.json) {
    const { plan, warnings } = current;
    const told = { url, listeners: sideUrls, config: file ?? null };
    const made = keys.map(({ title, path }) => ({ title, path }));
    io.out(`${JSON.stringify({ ...told, keys: made, plan, warnings })}\n`);
    return;
  }
  const lines = [`cliproxy listens on ${url}`, `  config    ${file ?? "none: safe defaults"}`];
  for (const [name, side] of Object.entries(sideUrls)) lines.push(`  ${name.padEnd(10)}${side}`);
  for (const made of keys) lines.push(...keyLines(made, io.isTerminal));
  lines.push(...planLines(current.plan));
  for (const warning of current.warnings) lines.push(`  warning   ${warning}`);
  const model = firstModel(current);
  // Of another key made at this start, such as that of the management API, no client may know.
  const key = keys.find(({ title }) => title === "client key");
  if (model !== undefined) lines.push("", ...curlLines(url, model, key, io.isTerminal), "");
  io.out(`${lines.join("\n")}\n`);
}

/** A generated key is shown once, and only where no log collector reads along. */
function keyLines({ title, path, secret }: Announcement, isTerminal: boolean): string[] {
  const label = `${title} `.padEnd(12);
  if (secret === undefined) return [`  ${label}in ${path}`];
  if (!isTerminal) return [`  ${label}generated into ${path}`];
  return [`  ${label}${secret}`, `              generated into ${path}; it is not shown again`];
}

function curlLines(
  url: string,
  model: { readonly name: string; readonly path: string; readonly body: string },
  key: Announcement | undefined,
  isTerminal: boolean,
): string[] {
  let token = "YOUR_CLIENT_KEY";
  if (key !== undefined) {
    const path = resolvePath(key.path).replaceAll("'", `'\\''`);
    token = key.secret !== undefined && isTerminal ? key.secret : `$(cat '${path}')`;
  }
  return [
    `curl -N ${url}${model.path} \\`,
    `  -H "Authorization: Bearer ${token}" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '${model.body}'`,
  ];
}

function firstModel({ plan }: Generation) {
  for (const { dialects, models } of plan.providers) {
    const name = Array.isArray(models) ? models[0] : undefined;
    if (name === undefined) continue;
    const isChat = dialects.includes("openai-chat");
    const body = {
      model: name,
      stream: true,
      ...(!isChat && { max_tokens: 256 }),
      messages: [{ role: "user", content: "Hello!" }],
    };
    const path = isChat ? "/v1/chat/completions" : "/v1/messages";
    return { name, path, body: JSON.stringify(body) };
  }
  return undefined;
}
