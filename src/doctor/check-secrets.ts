import type { Finding } from "../contract/finding.ts";
import { isSampleKey } from "../kit/client-key.ts";
import { finder } from "../kit/finding.ts";
import { isSecretField } from "../kit/redact.ts";
import { Secret } from "../kit/secret.ts";
import { type Area, quoted } from "./area.ts";
import type { Facts } from "./facts.ts";
import { findSecrets } from "./secret-shapes.ts";

const kinds = {
  "secrets-literal": {
    severity: "high",
    title: "a secret stands in the configuration",
    why: "Configurations are copied, shown and kept in repositories; the secret goes with them.",
    mend: "write ${NAME} and set the variable, or name a file by the key's `_file` twin",
  },
  "secrets-pasted": {
    severity: "high",
    title: "something in the configuration looks like a secret",
    why: "A key in a comment, a default or a key that nobody reads is as good as any other.",
    mend: "remove it, and make a new one if it was real",
  },
  "secrets-plaintext": {
    severity: "medium",
    title: "a credential is not encrypted",
    why: "A copy of the disk, a backup or a stolen volume is enough to use it.",
    mend: "turn auth.encryption on, then run `cliproxy auths encrypt`",
  },
  "secrets-placeholder": {
    severity: "medium",
    title: "a credential is a sample",
    why: "The provider will refuse it. A sample that works somewhere is known to everybody.",
    mend: "put the provider's own key in its place",
  },
  "secrets-unread-variable": {
    severity: "low",
    title: "the environment holds secrets that nobody reads",
    why: "Every child process, core dump and crash report gets the environment as a whole.",
    mend: "start the proxy with the variables that its configuration names, and no others",
  },
} as const;
const found = finder(kinds);

/** Secrets where they should not be, or as they should not be. */
export const secrets: Area = {
  name: "secrets",
  summary: "secrets in the configuration, in plain files and in the environment",
  kinds,
  check: (facts) => [
    ...inConfig(facts),
    ...inFiles(facts),
    ...inlinePlaceholders(facts),
    ...inEnvironment(facts),
  ],
};

function inConfig({ config }: Facts): Finding[] {
  const { file, text } = config;
  if (file === undefined) return [];
  const literal = config.secretsUsed.filter(({ from }) => from === "inline");
  const places = literal.map(({ path }) => config.at(path));
  const spots = findSecrets(text).filter(
    ({ line, isComment }) => isComment || !places.some((at) => at.startsWith(`${file}:${line} `)),
  );
  return [
    ...literal.map(({ path }, i) => {
      const key = path.split(".").at(-1);
      const mend = `write ${key}: "\${NAME}" and set the variable, or ${key}_file: <path>`;
      return found("secrets-literal", places[i] ?? path, { mend });
    }),
    ...spots.map(({ line, isComment, looksLike }) => {
      const where = isComment ? ", in a comment" : "";
      return found("secrets-pasted", `${file}:${line}${where}: it looks like ${looksLike}`);
    }),
  ];
}

/** Fields of a credential file that hold a secret as it is. */
const plainFields = ["token", "api_key", "key", "access_token", "refresh_token", "private_key"];

function inFiles({ files, config }: Facts): Finding[] {
  const isEncrypting = config.get("auth.encryption.enabled") === true;
  return [...files.credentials].flatMap(([path, text]) => {
    const token = plainToken(text);
    if (token === undefined) return [];
    const severity = isEncrypting ? "high" : "medium";
    return [
      found("secrets-plaintext", path, { severity }),
      ...(isSampleKey(token)
        ? [found("secrets-placeholder", path, { mend: `replace the token in ${quoted(path)}` })]
        : []),
    ];
  });
}

function plainToken(text: string): string | undefined {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof content !== "object" || content === null) return undefined;
  const fields = content as Readonly<Record<string, unknown>>;
  const values = plainFields.map((name) => fields[name]);
  return values.find((value): value is string => typeof value === "string" && value !== "");
}

function inlinePlaceholders({ config }: Facts): Finding[] {
  const keys = (config.get("providers.*.api_key") ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries(keys).flatMap(([name, key]) => {
    if (!(key instanceof Secret) || !isSampleKey(key.expose())) return [];
    // What runs on this machine asks for no key, and gets any.
    const base = config.plan?.providers.find((provider) => provider.name === name)?.base ?? "";
    if (/^https?:\/\/(?:localhost|127\.|\[::1\])/.test(base)) return [];
    return [found("secrets-placeholder", config.at(`providers.${name}.api_key`))];
  });
}

/** Shorter values are switches and numbers. */
const leastSecretCharacters = 16;

function inEnvironment({ env, config }: Facts): Finding[] {
  const read = new Set([...config.text.matchAll(/\$\{([A-Za-z_]\w*)/g)].map(([, name]) => name));
  const idle = Object.entries(env)
    .filter(([name, value = ""]) => {
      if (read.has(name) || /^(?:CLIPRO(?:XY)?_.*|(?:OLD)?PWD)$/.test(name)) return false;
      return value.length >= leastSecretCharacters && isSecretField(name, value);
    })
    .map(([name]) => name);
  return idle.length === 0 ? [] : [found("secrets-unread-variable", idle.sort().join(", "))];
}
