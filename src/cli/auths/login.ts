import { setTimeout as sleep } from "node:timers/promises";
import { claimants, placeOf } from "../../assembly.ts";
import { loadConfig } from "../../config/load.ts";
import { openAuthStore, StoreFault } from "../../kit/auth-store.ts";
import { systemClock } from "../../kit/clock.ts";
import { defaultId } from "../../kit/credential-name.ts";
import { readClients } from "../../oauth/clients.ts";
import { type DeviceCode, pollForTokens, requestDeviceCode } from "../../oauth/device-flow.ts";
import { toOauthFile } from "../../oauth/stored-tokens.ts";
import type { TokenFailure, Tokens } from "../../oauth/token-answer.ts";
import { createPost } from "../../oauth/token-endpoint.ts";
import { currentRuntime } from "../../runtime/process.ts";
import { type CommandContext, exitCodes, fail, type Io } from "../frame.ts";
import { configSource, refuseConfig } from "../house.ts";

/** Logs in by a code that the user types in elsewhere (RFC 8628), and keeps what it gives. */
export async function run(context: CommandContext): Promise<number> {
  const { io, positionals } = context;
  const [provider = "", id = defaultId] = positionals;
  const source = configSource(context);
  const input = { text: source.text, file: source.file ?? "(defaults)" };
  const config = loadConfig(input, source.env, claimants);
  if (!config.ok) return refuseConfig(io, config.problems);
  const clients = readClients(config);
  if (clients.problems.length > 0) return refuseConfig(io, clients.problems);
  const place = placeOf(config);
  if ("message" in place) return refuseConfig(io, [place]);
  const by = clients.configured(provider);
  const { deviceUrl } = by ?? {};
  if (by === undefined || deviceUrl === undefined) {
    const at = `providers.${provider}.oauth`;
    const mend = `set ${at}.token_url, device_url and client_id: those of a client of your own`;
    const message = `the configuration has no ${at} to log in with`;
    return fail(io, { code: "no_client", message, mend }, exitCodes.wrongUsage);
  }
  const { allowInsecure } = clients.clientOf(provider);
  const post = createPost(await currentRuntime(), allowInsecure);
  const login = { ...by, deviceUrl };
  const code = await requestDeviceCode(login, post);
  if ("failed" in code) return refuse(io, code);
  show(io, code);
  const got = await pollForTokens(login, code, { post, clock: systemClock, sleep });
  if ("failed" in got) return refuse(io, got);
  try {
    const store = openAuthStore(place.dir, place.providers, place.vault, true);
    // The client stays in the configuration, and its secret there alone.
    await store.write(provider, id, toOauthFile(toNew(got), undefined));
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error;
    const { code: reason, message, mend } = error;
    return fail(io, { code: reason, message, mend }, exitCodes.finding);
  }
  if (io.json) io.out(`${JSON.stringify({ provider, id, result: "added" })}\n`);
  else io.out(`${provider} ${id}: logged in\n`);
  return exitCodes.fine;
}

function show({ out, json }: Io, code: DeviceCode): void {
  const { verificationUri, completeUri, userCode, expiresInSeconds } = code;
  if (json) {
    const told = { verification_uri: verificationUri, user_code: userCode };
    out(`${JSON.stringify({ ...told, expires_in: expiresInSeconds })}\n`);
    return;
  }
  out(`Open ${verificationUri} and type in the code ${userCode}\n`);
  if (completeUri !== undefined) out(`or open ${completeUri}\n`);
}

function toNew({ accessToken, refreshToken, expiresInSeconds: seconds }: Tokens) {
  const expiresAtMs = seconds === undefined ? undefined : systemClock.now() + seconds * 1000;
  return { access: { secret: accessToken, expiresAtMs }, refreshToken };
}

const words: Readonly<Record<string, readonly [message: string, mend: string]>> = {
  access_denied: ["the login was refused", "log in again, and agree"],
  expired_token: ["the code was not typed in in time", "log in again"],
};

function refuse(io: Io, { failed, detail }: TokenFailure): number {
  const more = detail === undefined || detail === "" ? failed : `${failed} (${detail})`;
  const usual = [`the login failed: ${more}`, "see docs/credentials.md"] as const;
  const [message, mend] = words[failed] ?? usual;
  return fail(io, { code: failed, message, mend }, exitCodes.finding);
}
