import { renewed, secretFor } from "./attempt-secret.ts";
import {
  type BodyBudget,
  type BodyLimits,
  type Free,
  type ReadBody,
  readBody,
  shortBodyBytes,
} from "./body.ts";
import { type EstimatedCall, type ParsedCall, parseCall, withEdits, withModel } from "./call.ts";
import type { Attempt } from "./contract/policy.ts";
import type { Logger } from "./contract/types.ts";
import type { Refusal } from "./errors.ts";
import type { RunningExchange } from "./exchange.ts";
import type { FactKeys } from "./kit/fact-keys.ts";
import type { Secret } from "./kit/secret.ts";
import { waitAsked } from "./kit/wait-asked.ts";
import { passOn, type ReplyHouse } from "./pass-on.ts";
import type { MaybePromise } from "./pipeline.ts";
import { answer, refuse } from "./reply.ts";
import type { Candidate } from "./routing/candidate.ts";
import type { Router } from "./routing/router.ts";
import { passForeignError } from "./translate/errors.ts";
import { refuseOrAnswer } from "./translate/own-answer.ts";
import { passBack } from "./translate/pass-back.ts";
import { translateRequest } from "./translate/request.ts";
import { sendUpstream } from "./upstream.ts";
import { causeOf, classOf, passError, readUpstreamError, toRefusal } from "./upstream-error.ts";

/** What a call needs of its generation. */
export interface CallHouse extends ReplyHouse {
  readonly limits: BodyLimits & ReplyHouse["limits"];
  readonly budget: BodyBudget;
  /** Gives the memory of a long body back at once. */
  readonly free: Free;
  readonly router: Router;
  readonly log: Logger;
  /** The answer to a failure of our own. */
  fail(x: RunningExchange, error: unknown): MaybePromise<Response>;
}

/** Walks one model call down the straight way and back; never rejects. */
export async function handleCall(
  x: RunningExchange,
  house: CallHouse,
  keys: FactKeys,
): Promise<Response> {
  let body: ReadBody | undefined;
  let call: EstimatedCall | undefined;
  try {
    const early = x.route.pipeline.request(x);
    const refused = early instanceof Promise ? await early : early;
    if (refused !== undefined) return await refuse(x, refused);
    const read = await readBody(x, house.limits, house.budget, house.free);
    if ("code" in read) return x.isClientGone ? leave(x) : await refuse(x, read);
    body = read;
    x.held = read.hold;
    x.holdOpen();
    const parsed = parseCall(body.bytes, x.route.dialect, keys, x);
    if ("code" in parsed) return await refuse(x, parsed);
    call = parsed.call;
    x.call = call;
    const unread = x.route.pipeline.readsTexts ? call.openTexts() : undefined;
    if (unread !== undefined) return await refuse(x, unread);
    const late = x.route.pipeline.call(x, call);
    const denied = late instanceof Promise ? await late : late;
    if (denied !== undefined) return await refuseOrAnswer(x, denied);
    const edited = withEdits(parsed, keys, x);
    if ("code" in edited) return await refuse(x, edited);
    if (edited !== parsed && !body.hold.resize(edited.body.byteLength)) {
      return await refuse(x, { code: "overloaded", retryAfterSeconds: 1 });
    }
    const candidates = house.router.waysOf(x, edited.call.model);
    if ("code" in candidates) {
      return await (counted(x, edited.call, candidates) ?? refuse(x, candidates));
    }
    return await tryCandidates(x, house, edited, candidates);
  } catch (error) {
    return house.fail(x, error);
  } finally {
    call?.letGo(x.isFinished);
    if (body !== undefined && isLong(body.bytes)) {
      house.free(body.bytes);
      body.hold.shrink();
    }
  }
}

function isLong(body: Uint8Array): boolean {
  return body.byteLength > shortBodyBytes;
}

/** Tries candidates in order until one answers; never after a byte of an answer went out. */
async function tryCandidates(
  x: RunningExchange,
  house: CallHouse,
  parsed: ParsedCall,
  candidates: readonly Candidate[],
): Promise<Response> {
  let last: Failed | undefined;
  let skipped: Refusal | undefined;
  /** The candidate whose token was renewed: once is enough. */
  let renewedAt = -1;
  let sent = 0;
  for (let index = 0, at = 0; at < candidates.length; index++, at++) {
    if (sent >= house.router.mostAttempts) break;
    const candidate = candidates[at] as Candidate;
    const { provider, credential, model } = candidate;
    const found = secretFor(x, credential);
    const secret = found instanceof Promise ? await found : found;
    if (secret !== undefined && "code" in secret) {
      if (x.stopped !== undefined) return refuse(x, x.stopped);
      if (x.isClientGone) return leave(x);
      skipped = earlier(skipped, secret);
      continue;
    }
    const translated = translate(x, parsed, candidate);
    if (translated !== undefined && "code" in translated) return refuse(x, translated);
    const attempt = toAttempt(index, candidate);
    const gate = x.route.pipeline.attempt(x, attempt);
    const verdict = gate instanceof Promise ? await gate : gate;
    if (verdict !== undefined) {
      x.route.pipeline.withdraw(x, attempt, verdict);
      if (!verdict.tryNext) return refuse(x, verdict);
      skipped = earlier(skipped, verdict);
      continue;
    }
    sent += 1;
    x.instead = candidate.instead;
    x.beginAttempt(attempt);
    const body = translated?.body ?? withModel(parsed, model);
    const target = { provider, credential, secret, model, body, translated };
    const answer = await sendUpstream(x, target);
    if (body !== parsed.body && isLong(body)) house.free(body);
    if (answer !== undefined && "response" in answer && answer.response.status < 400) {
      if (candidates.length > 1) house.router.served(x, candidate);
      if (translated !== undefined) return passBack(x, provider, answer, house, translated);
      return passOn(x, provider, answer, house);
    }
    const mayRenew =
      credential?.tokens !== undefined && secret !== undefined && renewedAt !== at && is401(answer);
    const isEnd = at === candidates.length - 1 || sent >= house.router.mostAttempts;
    const isLast = isEnd && !mayRenew;
    const outcome = await explain(x, house, candidate, secret, answer, isLast, mayRenew);
    if (outcome instanceof Response) return outcome;
    last = outcome;
    if (x.stopped !== undefined) break;
    // The token had expired early, or was revoked: the same way once more, with another one.
    if (mayRenew && (await renewed(x, credential, secret))) {
      renewedAt = at;
      at -= 1;
    }
  }
  return last === undefined ? refuse(x, skipped ?? { code: "all_skipped" }) : last();
}

/** A provider of another API can't count for a client: an estimate is told, and that it is one. */
function counted(
  x: RunningExchange,
  call: EstimatedCall,
  { code }: Refusal,
): MaybePromise<Response> | undefined {
  const { dialect } = x.route;
  if (code !== "wrong_dialect" || x.surface !== "count_tokens") return undefined;
  if (dialect.count === undefined) return undefined;
  const headers = { "x-cliproxy-estimated": "tokens" };
  return answer(x, dialect.count(call.inputTokens()), { headers });
}

/** The request in the dialect of a provider that does not speak the client's. */
function translate(x: RunningExchange, { call, body }: ParsedCall, candidate: Candidate) {
  const { foreign, model } = candidate;
  if (foreign === undefined) return undefined;
  return translateRequest(body, call, x.route.dialect, foreign, model);
}

/** Of two candidates that are refused, the one that would be admitted first. */
function earlier(known: Refusal | undefined, next: Refusal): Refusal {
  if (known === undefined) return next;
  const never = Number.POSITIVE_INFINITY;
  const isEarlier = (next.retryAfterSeconds ?? never) < (known.retryAfterSeconds ?? never);
  return isEarlier ? next : known;
}

/** Tells the client of an attempt that failed, if no other one succeeds. */
type Failed = () => MaybePromise<Response>;

/** What an attempt without a good answer means for the client, or for the next candidate. */
async function explain(
  x: RunningExchange,
  house: CallHouse,
  { provider, foreign }: Candidate,
  sent: Secret | undefined,
  answer: Awaited<ReturnType<typeof sendUpstream>>,
  isLast: boolean,
  mayRenew: boolean,
): Promise<Response | Failed> {
  if (answer === undefined) {
    return x.stopped === undefined ? leave(x) : refuse(x, x.stopped);
  }
  if ("failed" in answer) {
    house.log.warn("provider failed", {
      provider: provider.name,
      code: answer.failed,
      detail: answer.detail,
      request: x.id,
    });
    const kind = answer.failed === "upstream_timeout" ? "timeout" : "failed";
    x.endAttempt({ kind, status: 0, usage: undefined, bytes: 0 });
    return () => refuse(x, { code: answer.failed });
  }
  const { response } = answer;
  const { status } = response;
  const error = await readUpstreamError(answer, sent);
  const why = classOf(error, provider.kind);
  const refusal = toRefusal(error, why);
  const mayTryNext = !isLast && why !== "final";
  x.endAttempt({
    ...{ kind: "refused", status, usage: undefined, bytes: 0 },
    ...(!mayRenew && { cause: causeOf(why, status), askedWaitMs: waitAsked(response.headers) }),
  });
  if (mayTryNext || refusal !== undefined) {
    house.log.warn("provider refused", { provider: provider.name, status, request: x.id });
  }
  const tell: Failed = () => {
    if (refusal !== undefined) return refuse(x, refusal, response);
    return foreign === undefined ? passError(x, error) : passForeignError(x, error, foreign);
  };
  return mayTryNext ? tell : tell();
}

function is401(answer: Awaited<ReturnType<typeof sendUpstream>>): boolean {
  return answer !== undefined && "response" in answer && answer.response.status === 401;
}

/** The client has left before an answer came; nobody reads what is returned. */
function leave(x: RunningExchange): Response {
  x.finish({ kind: "client_abort", status: 499 });
  return new Response(null, { status: 499 });
}

function toAttempt(index: number, { provider, credential, model }: Candidate): Attempt {
  return { index, provider: provider.name, credentialId: credential?.id ?? "", model };
}
