import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import type { Secret } from "./kit/secret.ts";
import type { MaybePromise } from "./pipeline.ts";
import type { Credential } from "./providers.ts";

/** Longest that a request waits for a token that is being refreshed, in milliseconds. */
export const tokenWaitMs = 30_000;

/** What an attempt is sent with; undefined for a provider that needs no credential. */
export type AttemptSecret = Secret | Refusal | undefined;

/** The secret for an attempt: at once, unless a token has to be refreshed first. */
export function secretFor(
  x: RunningExchange,
  credential: Credential | undefined,
): MaybePromise<AttemptSecret> {
  if (credential === undefined) return undefined;
  const { secret, tokens } = credential;
  if (tokens === undefined) return secret;
  return (
    tokens.current() ?? race(x, tokens.acquire()).then((token) => token ?? noToken(tokens.waitMs))
  );
}

/** Whether a provider that has refused a token would take another one by now. */
export async function renewed(
  x: RunningExchange,
  { tokens }: Credential,
  refused: Secret,
): Promise<boolean> {
  const isOther = await race(x, tokens?.renew(refused));
  return isOther === true && x.stopped === undefined && !x.isClientGone;
}

/** Another credential may do; and this one after a while. */
function noToken(waitMs: number): Refusal {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  return { code: "no_credential", retryAfterSeconds, tryNext: true };
}

/** Waits until something is there, takes too long, or nobody wants it any more. */
async function race<T>(x: RunningExchange, work: Promise<T> | undefined): Promise<T | undefined> {
  let wake: () => void = () => {};
  const woken = new Promise<undefined>((resolve) => {
    wake = () => resolve(undefined);
  });
  // Later than our own timer: a token that is late leaves time for another credential.
  x.expect("upstream_timeout", 2 * tokenWaitMs, wake);
  x.onClientGone(wake);
  const timer = setTimeout(wake, tokenWaitMs);
  try {
    return await Promise.race([work, woken]);
  } finally {
    clearTimeout(timer);
  }
}
