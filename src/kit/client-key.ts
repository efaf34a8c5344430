import { createHash, randomBytes } from "node:crypto";

/**
 * A client key is `cpk_`, 32 random bytes as 43 characters of base64url, and 6 characters of
 * checksum: the first 6 of base64url(SHA-256(what stands before)). A scanner can tell one from a
 * look-alike without asking anybody: `/cpk_[A-Za-z0-9_-]{49}/`, then the checksum. A management
 * key is the same with `cpm_`.
 */
const randomCharacters = 43;
const checksumCharacters = 6;
const shape = new RegExp(`^cp[km]_[\\w-]{${randomCharacters + checksumCharacters}}$`);

/** Makes a new client key. */
export function newClientKey(): string {
  return newKey("cpk_");
}

/** Makes a new key of the management API. */
export function newManagementKey(): string {
  return newKey("cpm_");
}

function newKey(prefix: string): string {
  const body = prefix + randomBytes(32).toString("base64url");
  return body + checksum(body);
}

/** Whether a text is a key that we made, its checksum included. */
export function isOwnKeyShape(text: string): boolean {
  if (!shape.test(text)) return false;
  const body = text.slice(0, -checksumCharacters);
  return checksum(body) === text.slice(-checksumCharacters);
}

function checksum(body: string): string {
  return createHash("sha256").update(body).digest("base64url").slice(0, checksumCharacters);
}

/** Fewer characters can be guessed. */
export const leastKeyCharacters = 16;

/** Fewer different characters can be guessed, too; 16 random hex digits have about 10. */
export const leastDistinctCharacters = 6;

/** Forms that stand for a key in documents and templates. */
const sampleForms: readonly RegExp[] = [
  // Beginnings: your-api-key-1, YOUR_32_BYTE_ENCRYPTION_KEY_HERE, yourSecretToken.
  /^["'<[{(]*your[-_ .]/i,
  /^["'<[{(]*your(?:api|secret|client|access|auth|key|token|password)/i,
  /^["'<[{(]*(?:insert|replace|paste|enter|put|add)[-_ .](?:me|your|the|key|token|secret|here|with)/i,
  /^change[-_ ]?(?:me|this|it)/i,
  // A variable or a template that nobody filled in.
  /^\$\{?[A-Za-z_]\w*\}?$/,
  /^\{\{.*\}\}$/,
  /^<.*>$/,
  /^%\w+%$/,
  // A key that a document shortens: sk-ant-api03-..., and AWS's AKIAIOSFODNN7EXAMPLE.
  /\.\.\.|…|\*{3}/,
  /EXAMPLE(?:KEY)?$/,
  // Our own documents' stand-in, and the masks of logs.
  /\[secret\]|\[redacted\]/i,
];

/** A key of these words only is a sample, however they are joined. */
const sampleWords = new Set(
  (
    "my our the this is some any api key keys secret secrets token tokens client server user admin " +
    "root password pass passwd credential credentials here test testing tests tester example examples " +
    "sample samples demo dummy fake foo bar baz qux placeholder changeme change me replace insert default " +
    "none null undefined todo tbd fixme value string text sk ant api03 pk cpk proj live cliproxy claude " +
    "openai anthropic gemini google proxy llm model local localhost dev development staging prod " +
    "production xxx abc abcd abcdef qwerty qwertyuiop asdfghjkl zxcvbnm letmein welcome hello world " +
    "correct horse battery staple access auth bearer private public your and or not so very super real"
  ).split(" "),
);

/** Whether a client key must be refused: a sample from a document, or too easy to guess. */
export function isSampleKey(text: string): boolean {
  const key = text.trim();
  if (key.length < leastKeyCharacters) return true;
  // Ours is random for sure, whatever words it spells.
  if (isOwnKeyShape(key)) return false;
  if (new Set(key).size < leastDistinctCharacters) return true;
  return (
    sampleForms.some((form) => form.test(key)) || isRepeated(key) || isRun(key) || isWords(key)
  );
}

/** One unit over and over, as `abc123abc123abc123`; it may be cut off, and may have a prefix. */
function isRepeated(key: string): boolean {
  const rest = key.replace(/^(?:[a-z]{1,4}[-_]){1,2}/i, "");
  for (let unit = 1; unit <= rest.length / 2; unit++) {
    if (rest.slice(unit) === rest.slice(0, -unit)) return true;
  }
  return false;
}

/** Most characters follow their neighbour, as in `1234567890abcdef`. */
function isRun(key: string): boolean {
  let steps = 0;
  for (let i = 1; i < key.length; i++) {
    const step = Math.abs(key.charCodeAt(i) - key.charCodeAt(i - 1));
    if (step <= 1) steps += 1;
  }
  return steps > (key.length - 1) * 0.6;
}

function isWords(key: string): boolean {
  const words = key.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d{0,2}(?!\d)|[A-Za-z]+|\d+/g) ?? [];
  return words.every((raw) => {
    const word = raw.toLowerCase();
    if (sampleWords.has(word) || sampleWords.has(word.replace(/\d+$/, ""))) return true;
    if (/^\d+$/.test(word)) return word.length <= 4 || isRun(word);
    // Hex falls apart into words of one or two letters: those say nothing.
    return word.length > 2 && (/^(.)\1+$/.test(word) || isRun(word));
  });
}
