import { randomRun } from "../kit/random-text.ts";

/** Where a text looks like it holds a secret, and what it looks like; never the secret itself. */
export interface SecretSpot {
  /** From 1. */
  readonly line: number;
  readonly isComment: boolean;
  readonly looksLike: string;
}

/** Beginnings that vendors give their keys, and whose they are. */
const vendors: readonly (readonly [pattern: RegExp, whose: string])[] = [
  [/sk-ant-[\w-]{8,}/, "a key of Anthropic"],
  [/sk-(?:proj|svcacct|admin)-[\w-]{8,}|\bsk-[A-Za-z0-9]{20,}/, "a key of OpenAI"],
  [/\bsk-or-[\w-]{8,}/, "a key of OpenRouter"],
  [/\bAIza[\w-]{20,}/, "a key of Google"],
  [/\bya29\.[\w.-]{8,}|\b1\/\/0[\w-]{20,}/, "a token of Google"],
  [/\bcp[km]_[\w-]{20,}/, "a key of this proxy"],
  [/\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{20,}/, "a token of GitHub"],
  [/\bglpat-[\w-]{12,}/, "a token of GitLab"],
  [/\bxox[abeoprs]-[\w-]{8,}/, "a token of Slack"],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/, "a key of AWS"],
  [/\b(?:gsk|hf|npm)_[A-Za-z0-9]{16,}/, "a token of a vendor"],
  [/\b(?:xai|nvapi|pplx)-[\w-]{20,}/, "a key of a vendor"],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}/, "a JSON Web Token"],
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----/, "a private key"],
  [/:\/\/[^\s/?#@"':]{1,256}:[^\s/?#@"'$]{4,256}@/, "a password in an address"],
];

/** A digest is no secret. */
const digestKey = /^\s*(?:-\s*)?(?:\{.*\b)?["']?key_sha256["']?\s*:|\bkey_sha256["']?\s*:/;
/** Longest line that is searched; a longer one is searched to here. */
const lineCharacters = 10_000;

/** Looks through a configuration, its comments as well. */
export function findSecrets(text: string): readonly SecretSpot[] {
  return text.split("\n").flatMap((whole, i) => {
    const line = whole.slice(0, lineCharacters);
    const looksLike = shapeOf(line);
    if (looksLike === undefined) return [];
    return [{ line: i + 1, isComment: isInComment(line), looksLike }];
  });
}

function shapeOf(line: string): string | undefined {
  const vendor = vendors.find(([pattern]) => pattern.test(line));
  if (vendor !== undefined) return vendor[1];
  if (digestKey.test(line)) return undefined;
  const random = randomRun(line);
  return random === undefined ? undefined : `${random.length} random characters`;
}

/** The key that the secret stands in may be before a `#`, but then it is no comment. */
function isInComment(line: string): boolean {
  return /^\s*#/.test(line) || /^[^"']*\s#[^"']*$/.test(line);
}
