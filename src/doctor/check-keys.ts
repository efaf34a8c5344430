import type { Finding } from "../contract/finding.ts";
import { isOwnKeyShape } from "../kit/client-key.ts";
import { finder } from "../kit/finding.ts";
import { Secret } from "../kit/secret.ts";
import type { Area } from "./area.ts";
import type { ConfigFacts, Facts } from "./facts.ts";

const guess = "A key with fewer than 128 bits can be guessed by whoever has time and a fast line.";
const kinds = {
  "keys-client-weak": {
    severity: "medium",
    title: "a client key is too short to be safe",
    why: guess,
    mend: "make one with `cliproxy keys new`",
  },
  "keys-management-weak": {
    severity: "high",
    title: "the management key is too short to be safe",
    why: `${guess} This one opens the whole house.`,
    mend: "remove management.key: a good one is made at the next start",
  },
  "keys-encryption-weak": {
    severity: "high",
    title: "the encryption key has fewer than 128 bits",
    why: "Whoever has a copy of the files can try keys at home, without anybody noticing.",
    mend: "make one with `openssl rand -base64 32`, and rotate to it",
  },
  "keys-encryption-halved": {
    severity: "low",
    title: "the encryption key has 128 bits instead of 256",
    why: "32 characters that are all hex hold 4 bits each.",
    mend: "make one with `openssl rand -base64 32`, and rotate to it",
  },
  "keys-reused": {
    severity: "high",
    title: "one secret is used for two purposes",
    why: "Whoever gets it in one place has the other as well, and one can't be changed alone.",
    mend: "make a key of its own for each",
  },
  "keys-expired": {
    severity: "low",
    title: "a client key has expired",
    why: "It admits nobody; whoever still uses it is refused.",
    mend: "remove it, or give its user a new one",
  },
  "keys-expiring": {
    severity: "low",
    title: "a client key expires within two weeks",
    why: "From then on its user is refused.",
    mend: "give its user a new one before that",
  },
  "keys-admit-nothing": {
    severity: "medium",
    title: "a client key may use no model or no provider",
    why: "An empty list admits nothing.",
    mend: "name what it may use, or remove the list",
  },
  "keys-shared": {
    severity: "low",
    title: "all clients share the key that was made at the first start",
    why: "Nobody can be told from anybody, limited, or shut out alone.",
    mend: "make one for each with `cliproxy keys new`, and list them in auth.api_keys",
  },
  "keys-in-query": {
    severity: "medium",
    title: "client keys are accepted in the address",
    why: "Proxies, browsers and shells keep the addresses that they call.",
    mend: "remove auth.allow_query_key, and send the key in a header",
  },
  "keys-rotation-due": {
    severity: "low",
    title: "a key has not been changed for a quarter",
    why: "The longer it is in use, the more copies there are. Its file's time is taken for its age.",
    mend: "make a new one, and revoke the old",
  },
} as const;
const found = finder(kinds);

/** How strong, how old and how shared keys are. */
export const keys: Area = {
  name: "keys",
  summary: "strength, age and use of client keys, management key and encryption key",
  kinds,
  check: (facts) => [
    ...clientKeys(facts),
    ...houseKeys(facts),
    ...reused(facts),
    ...rotationDue(facts),
  ],
};

const leastBits = 128;
const dayMs = 86_400_000;
const soonMs = 14 * dayMs;
const quarterMs = 91 * dayMs;

/** As `auth.api_keys` has it, as far as it matters here. */
interface ClientKey {
  readonly id: string;
  readonly key?: Secret;
  readonly expires?: number;
  readonly models?: readonly string[];
  readonly providers?: readonly string[];
}

function clientsOf({ config }: Facts): readonly ClientKey[] {
  const list = config.get("auth.api_keys");
  return Array.isArray(list) ? list : [];
}

function clientKeys(facts: Facts): Finding[] {
  const { config, nowMs } = facts;
  if (config.plan === undefined) return [];
  const clients = clientsOf(facts);
  const list = clients.flatMap(({ id, key, expires = Number.POSITIVE_INFINITY, ...may }) => {
    const at = config.at(`auth.api_keys.${id}`);
    const all: Finding[] = [];
    if (key !== undefined && bitsOf(key.expose()) < leastBits)
      all.push(found("keys-client-weak", at));
    if (expires <= nowMs) all.push(found("keys-expired", at));
    else if (expires - nowMs < soonMs) all.push(found("keys-expiring", at));
    if (may.models?.length === 0 || may.providers?.length === 0) {
      all.push(found("keys-admit-nothing", at));
    }
    return all;
  });
  if (clients.length === 0) list.push(found("keys-shared", "auth.api_keys is empty"));
  if (config.get("auth.allow_query_key") === true) {
    list.push(found("keys-in-query", config.at("auth.allow_query_key")));
  }
  return list;
}

function houseKeys({ config }: Facts): Finding[] {
  const list: Finding[] = [];
  const management = config.get("management.key");
  if (management instanceof Secret && bitsOf(management.expose()) < leastBits) {
    list.push(found("keys-management-weak", config.at("management.key")));
  }
  for (const [path, secret] of encryptionKeys(config)) {
    const bits = bitsOf(secret.expose());
    if (bits < leastBits) list.push(found("keys-encryption-weak", config.at(path)));
    else if (bits === leastBits) list.push(found("keys-encryption-halved", config.at(path)));
  }
  return list;
}

/** One key, or several for a rotation, each as it is or with what belongs to it. */
function encryptionKeys(config: ConfigFacts): readonly (readonly [path: string, key: Secret])[] {
  const several = config.get("auth.encryption.keys");
  const all: [path: string, value: unknown][] = [
    ["auth.encryption.key", config.get("auth.encryption.key")],
    ...(Array.isArray(several) ? several : []).map(
      (one: { key?: unknown }, i): [string, unknown] => [
        `auth.encryption.keys.${i}`,
        one instanceof Secret ? one : one.key,
      ],
    ),
  ];
  return all.flatMap(([path, value]) => (value instanceof Secret ? [[path, value] as const] : []));
}

/** At most so many bits of chance: a longer alphabet or more characters hold more. */
export function bitsOf(key: string): number {
  if (isOwnKeyShape(key)) return 256;
  const distinct = new Set(key).size;
  const alphabet = /^[0-9]+$/.test(key)
    ? 10
    : /^[0-9a-f]+$/i.test(key)
      ? 16
      : /^[a-z]+$|^[A-Z]+$/.test(key)
        ? 26
        : /^[0-9a-z]+$|^[0-9A-Z]+$/.test(key)
          ? 36
          : 64;
  // So few different characters in so long a key are no chance.
  const used = key.length >= 2 * alphabet ? Math.min(alphabet, distinct) : alphabet;
  return Math.floor(key.length * Math.log2(used));
}

function reused(facts: Facts): Finding[] {
  const { config } = facts;
  const providers = (config.get("providers.*.api_key") ?? {}) as Readonly<Record<string, unknown>>;
  const all: readonly (readonly [path: string, secret: unknown])[] = [
    ...clientsOf(facts).map(({ id, key }) => [`auth.api_keys.${id}`, key] as const),
    ["management.key", config.get("management.key")],
    ...encryptionKeys(config),
    ...Object.entries(providers).map(([name, key]) => [`providers.${name}.api_key`, key] as const),
  ];
  const first = new Map<string, string>();
  return all.flatMap(([path, secret]) => {
    if (!(secret instanceof Secret)) return [];
    const other = first.get(secret.expose());
    if (other === undefined) {
      first.set(secret.expose(), path);
      return [];
    }
    // Two providers may well be one vendor.
    if (other.startsWith("providers.") && path.startsWith("providers.")) return [];
    return [found("keys-reused", `${other} and ${path}`)];
  });
}

function rotationDue({ files, nowMs }: Facts): Finding[] {
  return files.seen
    .filter(({ role, kind, path }) => {
      if (kind !== "file" || path.endsWith("audit.key")) return false;
      return role === "credential" || role === "key" || role === "secret";
    })
    .filter(({ mtimeMs }) => nowMs - mtimeMs > quarterMs)
    .map(({ path, mtimeMs }) => {
      const days = Math.floor((nowMs - mtimeMs) / dayMs);
      return found("keys-rotation-due", `${path}, unchanged for ${days} days`);
    });
}
