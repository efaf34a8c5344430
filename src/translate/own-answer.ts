import { Buffer } from "node:buffer";
import type { NeutralReply, NeutralRequest, ReplyFrame } from "../contract/neutral.ts";
import type { Refusal } from "../errors.ts";
import type { RunningExchange } from "../exchange.ts";
import { toClientHeaders } from "../headers.ts";
import type { MaybePromise, MutableHead } from "../pipeline.ts";
import { refuse, send, toProblem } from "../reply.ts";
import { asStream, formOf } from "./pass-back.ts";

const unused = {
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
};

/** Refuses a call, or tells what a policy answers instead of a provider. */
export function refuseOrAnswer(x: RunningExchange, refusal: Refusal): MaybePromise<Response> {
  const { translation } = x.route.dialect;
  const { answer, policy } = refusal;
  if (answer === undefined || translation?.surface !== x.surface) return refuse(x, refusal);
  const { model = "", stream = false } = x.call ?? {};
  const request: NeutralRequest = {
    ...{ model, stream, system: [], messages: [], tools: [] },
    uses: new Map(),
  };
  const id = x.id.replace(/^req_|-/g, "");
  const frame: ReplyFrame = { request, id, created: Math.floor(Date.now() / 1000) };
  const reply: NeutralReply = {
    parts: [{ type: "text", text: answer.text }],
    stop: "end",
    usage: unused,
  };
  const form = translation.verbs === undefined ? "events" : formOf(x);
  const headers = toClientHeaders(x, undefined);
  const isEvents = stream && form === "events";
  headers["content-type"] = isEvents ? "text/event-stream" : "application/json";
  const head: MutableHead = { status: 200, headers, stream, code: undefined };
  return send(x, head, (final) => {
    if (final !== undefined) return x.route.dialect.error(toProblem(x, final));
    const body = stream
      ? asStream(reply, { from: translation }, frame, form)
      : JSON.stringify(translation.writeReply(reply, frame));
    x.markFirstByte();
    x.finish({ kind: "success", status: 200, policy, bytes: Buffer.byteLength(body) });
    return body;
  });
}
