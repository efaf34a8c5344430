/**
 * Refuses requests while the proxy is in maintenance; what runs already may finish. Health, metrics
 * and the management API stay reachable. It is on when the configuration or the management API says
 * so. Strangers are refused as strangers and learn nothing of it. A fault refuses the request.
 */
import * as v from "valibot";
import { definePolicy } from "../../src/contract/policy.ts";
import { PerObject } from "../../src/kit/per-object.ts";
import { doc, duration } from "../../src/kit/schema.ts";
import { operations } from "./operations.ts";
import { handlersOf, MaintenanceSwitch } from "./switch.ts";
import { messageText } from "./text.ts";

const schema = v.strictObject({
  maintenanceMode: v.optional(
    v.pipe(v.boolean(), doc("Refuse requests with 503; running ones finish.")),
    false,
  ),
  message: v.optional(
    v.pipe(
      messageText(),
      doc("What clients are told in maintenance.", {
        example: "Scheduled maintenance in progress",
      }),
    ),
  ),
  retryAfter: v.optional(
    v.pipe(duration({ min: "1s" }), doc("When clients are told to try again.")),
    "60s",
  ),
});

export const policy = definePolicy({
  name: "maintenance",
  summary: "In maintenance, requests are refused; running ones finish.",
  stage: "admit",
  onFault: "closed",
  covers: { surfaces: "all", streams: true },
  config: {
    schema,
    keys: {
      maintenanceMode: "server.maintenance_mode",
      message: "server.message",
      retryAfter: "server.retry_after",
    },
  },
  admin: operations,
  async create({ maintenanceMode, message, retryAfter }, host) {
    const { serving } = host.facts;
    // By store: what shadow mode tries out must not be enforced, nor the other way round.
    const switches = host.keep("switch", () => new PerObject(() => new MaintenanceSwitch()));
    const state = switches.of(host.store);
    if (serving) await state.load(host.store);
    const configured = { enabled: maintenanceMode, message, retryAfterMs: retryAfter };
    return {
      request: () => state.refusal(configured) ?? "pass",
      admin: handlersOf(state, configured, host),
    };
  },
});
