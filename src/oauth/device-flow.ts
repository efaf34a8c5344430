import type { Clock } from "../contract/types.ts";
import { askTokens } from "./ask-tokens.ts";
import { deviceCodeRequest, deviceTokenRequest, type OAuthClient } from "./grant.ts";
import { parse, readSeconds, type TokenFailure, type Tokens } from "./token-answer.ts";
import type { Post } from "./token-endpoint.ts";

/** Where and as whom to log in. */
export interface DeviceLogin {
  readonly deviceUrl: string;
  readonly tokenUrl: string;
  readonly client: OAuthClient;
  readonly scopes: readonly string[];
}

/** What the user has to do in a browser. */
export interface DeviceCode {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly verificationUri: string;
  /** The same with the code in it. */
  readonly completeUri: string | undefined;
  readonly expiresInSeconds: number;
  readonly intervalSeconds: number;
}

/** What the flow needs of its surroundings; tests turn the clock. */
export interface DeviceWorld {
  readonly post: Post;
  readonly clock: Pick<Clock, "mono">;
  sleep(ms: number): Promise<void>;
}

/** Where the server names none (RFC 8628, 3.2). */
const usualIntervalSeconds = 5;
/** A server that asks for longer waits would never let the user in. */
const longestIntervalSeconds = 60;
/** Longest that a login may take, in seconds. */
const longestLoginSeconds = 3600;
/** How long one question may take, in milliseconds. */
const questionMs = 30_000;

/** Printed to a terminal: no control characters, nothing that could draw over the line. */
const codeShape = /^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/;

/** Asks for a code that the user types in (RFC 8628, 3.1 and 3.2). */
export async function requestDeviceCode(
  { deviceUrl, client, scopes }: DeviceLogin,
  post: Post,
): Promise<DeviceCode | TokenFailure> {
  const answer = await post(deviceCodeRequest(deviceUrl, client, scopes), questionMs);
  if ("failed" in answer) return answer;
  const told = parse(answer.text) ?? {};
  if (typeof told.error === "string" && /^[\w.:-]{1,64}$/.test(told.error)) {
    return { failed: told.error };
  }
  if (answer.status !== 200) return { failed: `status_${answer.status}` };
  const { device_code: deviceCode, user_code: userCode } = told;
  // `verification_url` is what Google calls it.
  const verificationUri = toPage(told.verification_uri ?? told.verification_url);
  const isWhole =
    typeof deviceCode === "string" &&
    deviceCode !== "" &&
    typeof userCode === "string" &&
    codeShape.test(userCode);
  if (!isWhole || verificationUri === undefined) {
    return { failed: "bad_answer", detail: "the answer has no code, or no page to type it in" };
  }
  const interval = readSeconds(told.interval) ?? usualIntervalSeconds;
  return {
    deviceCode,
    userCode,
    verificationUri,
    completeUri: toPage(told.verification_uri_complete),
    expiresInSeconds: Math.min(readSeconds(told.expires_in) ?? 600, longestLoginSeconds),
    intervalSeconds: Math.min(interval, longestIntervalSeconds),
  };
}

/** A page for a browser, as the parser writes it: nothing in it can steer a terminal. */
function toPage(value: unknown): string | undefined {
  if (typeof value !== "string" || value.length > 2048 || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
}

/** Asks until the user has agreed, has refused, or the code is over (RFC 8628, 3.4 and 3.5). */
export async function pollForTokens(
  { tokenUrl, client }: DeviceLogin,
  code: DeviceCode,
  { post, clock, sleep }: DeviceWorld,
): Promise<Tokens | TokenFailure> {
  const overAtMs = clock.mono() + code.expiresInSeconds * 1000;
  const request = deviceTokenRequest(tokenUrl, client, code.deviceCode);
  let waitMs = code.intervalSeconds * 1000;
  for (;;) {
    const leftMs = overAtMs - clock.mono();
    if (leftMs <= waitMs) {
      await sleep(Math.max(0, leftMs));
      return { failed: "expired_token" };
    }
    await sleep(waitMs);
    const result = await askTokens(post, request, questionMs);
    if (!("failed" in result)) return result;
    const longer = nextWaitMs(result.failed, waitMs);
    if (longer === undefined) return result;
    waitMs = Math.min(longer, longestIntervalSeconds * 1000);
  }
}

/** How long to wait before the next question; undefined: the answer is final. */
function nextWaitMs(failed: string, waitMs: number): number | undefined {
  if (failed === "authorization_pending") return waitMs;
  if (failed === "slow_down") return waitMs + 5000;
  const isOutage = failed === "timeout" || failed === "unreachable" || /^status_5/.test(failed);
  return isOutage ? waitMs * 2 : undefined;
}
