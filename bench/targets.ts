/** What is measured, and how each is started. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Options } from "./arguments.ts";
import type { Command } from "./children.ts";
import { clientKey, cliproxyConfig, type PolicySet } from "./proxies/cliproxy.ts";
import { nginxConfig } from "./proxies/nginx.ts";

const here = import.meta.dirname;
const chatPath = "/v1/chat/completions";

export interface Target {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Just-in-time compilers that need longer until they settle. */
  readonly warmUpSeconds: number;
  /** None: the mock itself. */
  readonly command: Command | undefined;
}

interface Place {
  readonly port: number;
  readonly mockPort: number;
  readonly folder: string;
  readonly binary: string;
}

interface Recipe {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly warmUpSeconds?: number;
}

/** A recipe, or why there is none and what mends it. */
type Make = (place: Place) => Recipe | string;

const bunFetch: Make = ({ port, mockPort }) => ({
  argv: [process.execPath, join(here, "proxies", "bun-fetch.ts")],
  env: {
    PORT: String(port),
    UPSTREAM: `http://127.0.0.1:${mockPort}`,
    // Without it Bun's fetch runs 256 requests at once and queues the rest.
    BUN_CONFIG_MAX_HTTP_REQUESTS: "65336",
  },
});

const nginx: Make = ({ port, mockPort, folder }) => {
  const program = Bun.which("nginx", { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` });
  if (program === null) return "not installed: apt-get install nginx-light";
  const config = join(folder, "nginx.conf");
  writeFileSync(config, nginxConfig(port, mockPort, folder));
  return { argv: [program, "-c", config, "-p", folder] };
};

const portkey: Make = ({ port, mockPort }) => {
  const server = join(here, "peers/node_modules/@portkey-ai/gateway/build/start-server.js");
  if (!existsSync(server)) return "not installed: npm ci --prefix bench/peers";
  return {
    argv: ["node", server, "--headless", `--port=${port}`],
    env: { NODE_ENV: "production", TRUSTED_CUSTOM_HOSTS: "127.0.0.1,localhost" },
    headers: {
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `http://127.0.0.1:${mockPort}/v1`,
      authorization: "Bearer bench",
    },
    warmUpSeconds: 6,
  };
};

const cliproxy =
  (policies: PolicySet): Make =>
  (place) => {
    const { folder, binary } = place;
    if (!existsSync(binary)) return `${binary} is missing: npm run build`;
    const config = join(folder, "config.yaml");
    mkdirSync(join(folder, "auths"), { mode: 0o700 });
    writeFileSync(config, cliproxyConfig(place, policies), { mode: 0o600 });
    return {
      argv: [binary, "serve", "--json", "--config", config],
      headers: { authorization: `Bearer ${clientKey}` },
    };
  };

const recipes: Readonly<Record<string, Make>> = {
  "bun-fetch": bunFetch,
  nginx,
  portkey,
  cliproxy: cliproxy("usual"),
  "cliproxy-first": cliproxy("first"),
  "cliproxy-all": cliproxy("all"),
};

export interface Targets {
  readonly targets: readonly Target[];
  readonly skipped: readonly string[];
}

/** The targets that can be started here, in the order they were asked for. */
export function makeTargets(options: Options, folder: string): Targets {
  const targets: Target[] = [];
  const skipped: string[] = [];
  const binary = options.binary ?? join(here, "..", "dist", "cliproxy");
  for (const [index, name] of options.targets.entries()) {
    const make = recipes[name];
    const port = make === undefined ? options.mockPort : options.basePort + index;
    const own = join(folder, name);
    mkdirSync(own, { mode: 0o700 });
    const recipe = make?.({ port, mockPort: options.mockPort, folder: own, binary });
    if (typeof recipe === "string") skipped.push(`${name} is skipped: ${recipe}`);
    else targets.push(toTarget(name, port, own, recipe));
  }
  return { targets, skipped };
}

function toTarget(name: string, port: number, folder: string, recipe: Recipe | undefined): Target {
  return {
    name,
    port,
    url: `http://127.0.0.1:${port}${chatPath}`,
    headers: recipe?.headers ?? {},
    warmUpSeconds: recipe?.warmUpSeconds ?? 2.5,
    command: recipe && {
      argv: recipe.argv,
      env: recipe.env ?? {},
      cwd: folder,
      logFile: join(folder, "output.log"),
    },
  };
}
