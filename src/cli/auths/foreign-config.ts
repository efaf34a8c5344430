import { createHash } from "node:crypto";
import { isSampleKey } from "../../kit/client-key.ts";
import {
  type Candidate,
  type Fields,
  type Foreign,
  idOfKey,
  isFields,
  isProviderName,
  type Skipped,
  text,
} from "./foreign.ts";

/** Lists of keys in CLIProxyAPI's config.yaml, and whose they are. */
const keyLists: Readonly<Record<string, string>> = {
  "claude-api-key": "claude",
  "codex-api-key": "openai",
  "gemini-api-key": "gemini",
  "generative-language-api-key": "gemini",
};

interface Gathered {
  readonly candidates: Candidate[];
  readonly skipped: Skipped[];
  /** Lines below `providers:`. */
  readonly providers: Set<string>;
  /** Lines below `auth.api_keys:`. */
  readonly clients: string[];
}

/** Reads the provider keys of a config.yaml of CLIProxyAPI, and the digests of its client keys. */
export function fromConfig(config: Fields): Foreign {
  const found: Gathered = { candidates: [], skipped: [], providers: new Set(), clients: [] };
  for (const [list, provider] of Object.entries(keyLists)) {
    for (const [i, entry] of listOf(config[list]).entries()) {
      takeKey(found, `${list}.${i}`, provider, entry, undefined);
    }
  }
  for (const [i, entry] of listOf(config["openai-compatibility"]).entries()) {
    takeCompatible(found, `openai-compatibility.${i}`, entry);
  }
  for (const [i, key] of listOf(config["api-keys"]).entries()) takeClient(found, i, key);
  const lines: string[] = [];
  if (found.providers.size > 0) lines.push("providers:", ...found.providers);
  if (found.clients.length > 0) lines.push("auth:", "  api_keys:", ...found.clients);
  return { candidates: found.candidates, skipped: found.skipped, config: lines };
}

/** An address of its own makes it another provider: a key goes only to where it belongs. */
function takeKey(
  found: Gathered,
  what: string,
  vendor: string,
  entry: unknown,
  base: string | undefined,
): void {
  const fields = isFields(entry) ? entry : { "api-key": entry };
  const token = text(fields["api-key"]);
  if (token === undefined) return void found.skipped.push({ what, why: "holds no key" });
  if (isSampleKey(token)) return void found.skipped.push({ what, why: "is a sample key" });
  const address = base === undefined ? text(fields["base-url"]) : undefined;
  let provider = vendor;
  if (address !== undefined) {
    const host = hostOf(address);
    if (host === undefined) return void found.skipped.push({ what, why: "has no base-url" });
    provider = host;
    const settings = { protocol: vendor, base_url: address };
    found.providers.add(`  ${JSON.stringify(provider)}: ${JSON.stringify(settings)}`);
  } else if (base === undefined) {
    found.providers.add(`  ${vendor}: {}`);
  }
  const lost = ["proxy-url", "prefix", "headers", "models", "excluded-models"];
  const idle = lost.filter((name) => fields[name] !== undefined && fields[name] !== "");
  const notes = idle.length > 0 ? [`${idle.join(", ")} can't be taken over`] : [];
  const content = { type: "api_key", token } as const;
  found.candidates.push({ provider, id: idOfKey(token), content, notes });
}

function takeCompatible(found: Gathered, what: string, entry: unknown): void {
  const name = isFields(entry) ? text(entry.name)?.toLowerCase() : undefined;
  const address = isFields(entry) ? text(entry["base-url"]) : undefined;
  if (!isFields(entry) || name === undefined || !isProviderName(name) || address === undefined) {
    return void found.skipped.push({ what, why: "needs a name and a base-url" });
  }
  const settings = { protocol: "openai-compatible", base_url: address };
  found.providers.add(`  ${JSON.stringify(name)}: ${JSON.stringify(settings)}`);
  const entries = [...listOf(entry["api-key-entries"]), ...listOf(entry["api-keys"])];
  for (const [i, key] of entries.entries()) takeKey(found, `${what}.${i}`, name, key, address);
}

/** Ours are kept as digests, in the configuration, which no command writes. */
function takeClient(found: Gathered, i: number, key: unknown): void {
  const client = text(key);
  const what = `api-keys.${i}`;
  if (client === undefined) return void found.skipped.push({ what, why: "is no key" });
  if (isSampleKey(client)) return void found.skipped.push({ what, why: "is a sample key" });
  const digest = createHash("sha256").update(client).digest("hex");
  found.clients.push(`    - { id: client-${digest.slice(0, 8)}, key_sha256: "${digest}" }`);
}

function hostOf(address: string): string | undefined {
  try {
    const host = new URL(address).host.replace(/[^a-z0-9.-]/g, "-");
    return isProviderName(host) ? host : undefined;
  } catch {
    return undefined;
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
