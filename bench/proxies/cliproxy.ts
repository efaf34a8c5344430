/** The configurations of the proxy under test: authentication on, one provider. */
import { models } from "../bodies.ts";

/** Made for the bench; it opens a proxy to a mock on loopback, and nothing else. */
export const clientKey = "k7Qw2xNf9LbTz4VhRm6Yc8Gd3Js5Pe1U";

/** Which policies a target has. */
export type PolicySet = "first" | "usual" | "all";

interface Place {
  readonly port: number;
  readonly mockPort: number;
  readonly folder: string;
}

/** So much that nothing is ever refused for it: what is measured is the work, not the refusal. */
const plenty = 1_000_000_000;
const rates = { requests_per_second: 1_000_000, burst: 1_000_000 };
const minute = { requests_per_minute: plenty, tokens_per_minute: plenty };
const quota = { limit: plenty * 1000, reset: "monthly" };

/** JSON is YAML, and quotes itself. */
export function cliproxyConfig(place: Place, policies: PolicySet): string {
  const { port, mockPort, folder } = place;
  const isAll = policies === "all";
  const limits = isAll && { rate_limit: { ...rates, ...minute }, quota };
  const config = {
    server: { host: "127.0.0.1", port, ...(isAll && allOfServer) },
    auth: {
      dir: `${folder}/auths`,
      api_keys: [{ id: "bench", user_id: "bench", key: clientKey, ...limits }],
    },
    providers: {
      mock: {
        protocol: "openai-compatible",
        base_url: `http://127.0.0.1:${mockPort}/v1`,
        api_key: "b3nchUpstreamCredential",
        models,
        ...(isAll && { rate_limit: minute, quota }),
      },
    },
    ...(policies === "first" && withoutLater),
    ...(isAll && {
      metrics: { enabled: true, port: metricsPort(port) },
      logging: { audit: { enabled: true, file: `${folder}/audit/audit.log` } },
    }),
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** Above the ports of the targets. */
function metricsPort(port: number): number {
  return port + 100;
}

/** As at the first foundation: what came with the later policies is off, their store too. */
const withoutLater = {
  state: { store: "memory" },
  usage: { enabled: false },
  policies: { detections: { mode: "off" }, "forwarding-watch": { mode: "off" } },
};

/** Lists with entries, each of which has to be passed, and a limit that is never reached. */
const allOfServer = {
  rate_limit: rates,
  limits: { max_output_tokens: 1_000_000 },
  security: {
    ip_allowlist: { allowed_ips: ["127.0.0.0/8", ...networks(10)] },
    ip_denylist: { denied_ips: networks(172) },
    rate_limiting: rates,
    headers: { enabled: true },
  },
};

function networks(first: number): string[] {
  return Array.from({ length: 200 }, (_, i) => `${first}.${i}.0.0/24`);
}
