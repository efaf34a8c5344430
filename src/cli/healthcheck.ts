import type { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { escapeControls } from "../kit/redact.ts";
import { type CommandContext, exitCodes } from "./command.ts";

/** Longest wait for an answer. */
const deadlineMs = 2000;

/** Asks a running proxy whether it is alive. */
export async function run({ io, options, env }: CommandContext): Promise<number> {
  const given =
    typeof options.url === "string" ? options.url : env.CLIPROXY_HEALTH_URL || undefined;
  const url = toHealthUrl(given ?? (await configured(options.config, env)));
  if (url === undefined) {
    return tell(io, { ok: false, url: undefined, reason: "the address is no http or https URL" });
  }
  const { cert, key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    const reason = "--cert and --key go together";
    return tell(io, { ok: false, url: undefined, reason });
  }
  let pair: Pair | undefined;
  try {
    if (typeof cert === "string" && typeof key === "string") {
      pair = { cert: readFileSync(cert), key: readFileSync(key) };
    }
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    return tell(io, { ok: false, url: url.href, reason: `${path} can't be read: ${code}` });
  }
  const asked = await ask(url, pair);
  return tell(io, { ...asked, url: url.href });
}

/** Loaded only where no address is given: the YAML parser takes longer than the question. */
async function configured(file: unknown, env: CommandContext["env"]): Promise<string> {
  const { configuredUrl } = await import("./health-url.ts");
  return configuredUrl(typeof file === "string" ? file : undefined, env);
}

/** What to ask; `/healthz` unless a path is given; undefined: it can't be asked. */
export function toHealthUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  // Health needs no login, and what is printed must hold none.
  url.username = "";
  url.password = "";
  url.search = "";
  url.hash = "";
  if (url.pathname === "/") url.pathname = "/healthz";
  return url;
}

/** A certificate to show, and its key. */
interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

interface Health {
  readonly ok: boolean;
  readonly status?: number;
  readonly reason?: string;
}

/** Not `fetch`: that would follow redirects, and a proxy that the environment names. */
function ask(url: URL, pair: Pair | undefined): Promise<Health> {
  return new Promise((resolve) => {
    const isTls = url.protocol === "https:";
    const send = isTls ? requestHttps : requestHttp;
    const options = {
      agent: false,
      headers: { connection: "close" },
      // Nothing secret is sent and nothing believed: a certificate of one's own is alive, too.
      ...(isTls && { rejectUnauthorized: false, ...pair }),
    } as const;
    const outgoing = send(url, options, (answer) => {
      const status = answer.statusCode ?? 0;
      answer.destroy();
      settle(
        status === 200 ? { ok: true, status } : { ok: false, status, reason: `answered ${status}` },
      );
    });
    const timer = setTimeout(() => {
      settle({ ok: false, reason: `no answer within ${deadlineMs} ms` });
    }, deadlineMs);
    const settle = (health: Health): void => {
      clearTimeout(timer);
      resolve(health);
      outgoing.destroy();
    };
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      settle({ ok: false, reason: error.code ?? error.message });
    });
    outgoing.end();
  });
}

function tell(
  io: CommandContext["io"],
  health: Health & { readonly url: string | undefined },
): number {
  if (io.json) io.out(`${JSON.stringify(health)}\n`);
  else if (health.ok) io.out(`healthy: ${health.url}\n`);
  else
    io.err(
      `unhealthy: ${[health.url, escapeControls(health.reason ?? "")].filter(Boolean).join(": ")}\n`,
    );
  return health.ok ? exitCodes.fine : exitCodes.finding;
}
