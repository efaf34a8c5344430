/** The configuration of the proxy under test: authentication on, one provider. */
import { models } from "../bodies.ts";

/** Made for the bench; it opens a proxy to a mock on loopback, and nothing else. */
export const clientKey = "k7Qw2xNf9LbTz4VhRm6Yc8Gd3Js5Pe1U";

/** JSON is YAML, and quotes itself. */
export function cliproxyConfig(port: number, upstreamPort: number, folder: string): string {
  const config = {
    server: { host: "127.0.0.1", port },
    auth: {
      dir: `${folder}/auths`,
      api_keys: [{ id: "bench", user_id: "bench", key: clientKey }],
    },
    providers: {
      mock: {
        protocol: "openai-compatible",
        base_url: `http://127.0.0.1:${upstreamPort}/v1`,
        api_key: "b3nchUpstreamCredential",
        models,
      },
    },
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
