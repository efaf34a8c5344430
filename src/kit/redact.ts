/** What stands where a secret was. */
export const masked = "[secret]";

/** Words that make a field name secret: one secret each. */
const secretWords = new Set(
  "key apikey token secret password passwd passphrase pwd authorization cookie credential jwt bearer otp".split(
    " ",
  ),
);

/** The same for many; a number under such a name is a count, as in `max_tokens`. */
const secretPlurals = new Set(
  "keys apikeys tokens secrets passwords cookies credentials".split(" "),
);

/** Words after a secret word that make the name tell about a secret, as in `keyId`. */
const tellWords = new Set(
  (
    "id ids name names count counts type kind length size bytes limit limits ttl age path file files " +
    "dir index at ms seconds expires expiry env algorithm alg fingerprint sha used left remaining " +
    "budget usage source status state present missing valid mode format version"
  ).split(" "),
);

const glued =
  /^(?:x|api|auth|access|refresh|client|session|private|bearer|id)+(?:key|token|secret)$/;
const invisible = /[\u00ad\u200b-\u200f\u2060\ufeff]/g;
const wordShape = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g;

/** Whether a field's name says that its value is a secret; `value` tells a count from a list. */
export function isSecretField(name: string, value: unknown): boolean {
  if (value === undefined || value === null || typeof value === "boolean") return false;
  const isCount =
    typeof value === "number" || (typeof value === "string" && /^\d{1,15}$/.test(value));
  // Full-width letters or a zero-width space in a name must not hide it.
  const plain = name.slice(0, 256).normalize("NFKC").replace(invisible, "");
  const words = plain.match(wordShape) ?? [];
  let secret = false;
  for (const raw of words) {
    const word = raw.toLowerCase();
    if (secretWords.has(word) || glued.test(word)) secret = true;
    else if (secretPlurals.has(word)) secret = !isCount;
    else if (tellWords.has(word)) secret = false;
  }
  return secret;
}

/** Shapes of keys that vendors and we hand out; distinct enough to need no border before them. */
const keyShapes = [
  "sk-(?:ant|proj|svcacct|admin|or|lf)-[\\w-]{6,}",
  "sk-[A-Za-z0-9]{20,}",
  // "disk-utilisation" is not a key: the short form needs a border, or an escape as in `\nsk-…`.
  "(?<![A-Za-z0-9]|[A-Za-z0-9]-)sk-[\\w-]{8,}",
  "(?<=\\\\[nrt])sk-[\\w-]{8,}",
  "[srp]k_(?:live|test)_\\w{8,}",
  "cpk_[\\w-]{8,}",
  "AIza[\\w-]{20,}",
  "ya29\\.[\\w.-]{8,}",
  "1//0[\\w-]{20,}",
  "gh[pousr]_[A-Za-z0-9]{16,}",
  "github_pat_\\w{20,}",
  "glpat-[\\w-]{12,}",
  "xox[abeoprs]-[\\w-]{8,}",
  "(?:AKIA|ASIA)[A-Z0-9]{16}",
  "(?:gsk|hf|npm)_[A-Za-z0-9]{16,}",
  "(?:xai|nvapi|pplx)-[\\w-]{20,}",
  "eyJ[\\w-]{6,}(?:\\.[\\w-]*){0,4}",
].join("|");

const secretKeys =
  "api[-_]?key|access[-_]?key|access[-_]?token|refresh[-_]?token|id[-_]?token|auth[-_]?token|token|" +
  "client[-_]?secret|secret|password|passwd|passphrase|pwd|credential";
const secretHeaders =
  "(?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-goog-api-key|x-management-key";

/** In order; every quantifier is bounded by what follows, so that none backtracks for long. */
const rules: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|$)/g, masked],
  [new RegExp(keyShapes, "g"), masked],
  [/(bearer(?:\s|%20|[+:="'])+)[\w.~+/=:%-]{6,}/gi, `$1${masked}`],
  [/(Basic )(?=[A-Za-z]*[0-9+/=A-Z])[A-Za-z0-9+/]{8,}={0,2}/g, `$1${masked}`],
  // The value of a header runs to the end of its line, or to the quote that closes it.
  [
    new RegExp(
      `((?:${secretHeaders})["']?\\s{0,8}[:=]\\s{0,8}["']?)[^\\s"'\`][^\\r\\n"'\`]*`,
      "gi",
    ),
    `$1${masked}`,
  ],
  [new RegExp(`((?:${secretKeys})=)[^\\s&"',;)}\\]]+`, "gi"), `$1${masked}`],
  [
    new RegExp(`((?:${secretKeys}|"key)\\\\?["']\\s{0,8}:\\s{0,8}\\\\?["'])[^"'\\\\]+`, "gi"),
    `$1${masked}`,
  ],
  [/([?&](?:key|sig|signature|code)=)[^\s&"']+/gi, `$1${masked}`],
  [/(:\/\/)[^\s/?#@"']{1,1024}@/g, `$1${masked}@`],
];

/** Masks everything in a text that looks like a key, a token, or a value given for one. */
export function maskText(text: string): string {
  // Nothing to mask is shorter than this.
  if (text.length < 8) return text;
  let result = text;
  for (const [pattern, replacement] of rules) result = result.replace(pattern, replacement);
  return result;
}

/** Moves the cursor, ends the line or turns the reading direction: what forged lines begin with. */
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Shows control characters, line separators and bidirectional overrides as `\uXXXX`. */
export function escapeControls(text: string): string {
  return text.replace(unprintable, (c) => {
    if (c === "\n") return "\\n";
    if (c === "\t") return "\\t";
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
