/**
 * One limit for the whole server, taken after authentication, so that strangers can't drain it. It
 * can't share fairly: one client may use it all, which limits by user and by key are for. A fault
 * refuses the request.
 */
import * as v from "valibot";
import { definePolicy, type Exchange } from "../src/contract/policy.ts";
import { Bucket, Pace } from "../src/kit/bucket.ts";
import { RateFields, retryAfterSeconds } from "../src/kit/rate-fields.ts";
import { rateEntries, toRate } from "../src/kit/rate-schema.ts";
import { doc } from "../src/kit/schema.ts";

const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(
      v.boolean(),
      doc("Whether the limit counts; absent: where one is given.", { example: true }),
    ),
  ),
  ...rateEntries("of all clients together"),
});

const root = "server.rate_limit";

export const policy = definePolicy({
  name: "rate-limit-server",
  summary: "The server as a whole takes so many requests a second.",
  stage: "admit",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: {
      enabled: `${root}.enabled`,
      requestsPerSecond: `${root}.requests_per_second`,
      burst: `${root}.burst`,
    },
  },
  create(config, host) {
    const rate = toRate(config, root);
    if (rate === undefined) return undefined;
    const pace = new Pace(rate);
    const bucket = host.keep("bucket", () => new Bucket());
    const fields = new RateFields("server", rate);
    return {
      request() {
        const level = bucket.take(pace, host.clock.mono());
        if (level.admitted) return "pass";
        return {
          deny: "rate_limited",
          message: "The server is at its limit of requests (server.rate_limit). Wait, then retry.",
          retryAfterSeconds: retryAfterSeconds(level),
        };
      },
      // How busy the server is, is told to those whom it knows.
      response(x: Exchange, { headers }) {
        if (x.principal === undefined) return "pass";
        return { edit: { headers: fields.of(bucket.look(pace, host.clock.mono()), headers) } };
      },
    };
  },
});
