/**
 * What a call will cost in tokens, before anybody has counted. Everything is settled to what the
 * provider reports; until then these figures stand (docs/limits-and-quotas.md lists them).
 */
export const tokenFigures = {
  /** Of ASCII text and JSON. */
  bytesPerToken: 4,
  /** Of other text in UTF-8: most Asian characters are three bytes, and a token or more. */
  bytesPerTokenBeyondAscii: 2.5,
  /** For each image, or other attachment in base64, whatever its size. */
  attachmentTokens: 1600,
  /** For each document in base64, whatever its size. */
  documentTokens: 8000,
  /** For the output of a call that sets no limit. */
  outputTokens: 4096,
} as const;

/** Looking at so few bytes in so many keeps 100 KB at a few microseconds. */
const strideBytes = 256;
const sampleBytes = 16;
/** An attachment shorter than this counts as text: it costs less than the flat figure. */
const leastAttachmentBytes = 1024;
/** How far around an attachment its key and its media type are looked for. */
const contextBytes = 192;

const [quote, backslash, space, beyondAscii] = [0x22, 0x5c, 0x20, 0x80];

/** Of the plain typed array: Buffer's own takes longer to decide what it was asked. */
const { indexOf, lastIndexOf } = Uint8Array.prototype;

/**
 * Estimates the input of a call from the bytes of its body.
 * @param body valid JSON in UTF-8
 */
export function estimateInput(body: Uint8Array): number {
  let attachments = 0;
  let attachmentBytes = 0;
  let [sampled, foreign] = [0, 0];
  /** Where the string ends that was looked at last: each is judged once. */
  let judgedUntil = 0;
  for (let at = 0; at < body.length; at += strideBytes) {
    const end = Math.min(at + sampleBytes, body.length);
    let plain = end - at === sampleBytes;
    for (let i = at; i < end; i++) {
      const byte = body[i] as number;
      if (byte >= beyondAscii) foreign += 1;
      // What base64 never holds; the slower rest of its alphabet is checked once, later.
      if (byte <= space || byte >= beyondAscii || byte === quote || byte === backslash) {
        plain = false;
      }
    }
    sampled += end - at;
    if (!plain || at < judgedUntil) continue;
    const start = lastIndexOf.call(body, quote, at) + 1;
    const stop = indexOf.call(body, quote, at);
    judgedUntil = stop < 0 ? body.length : stop;
    const tokens = attachmentTokens(body, start, judgedUntil);
    if (tokens === 0) continue;
    attachments += tokens;
    attachmentBytes += judgedUntil - start;
    // The samples inside of it are skipped; the loop adds its stride.
    at = judgedUntil - (judgedUntil % strideBytes);
  }
  const textBytes = body.length - attachmentBytes;
  const foreignBytes = sampled === 0 ? 0 : Math.round((textBytes * foreign) / sampled);
  const { bytesPerToken, bytesPerTokenBeyondAscii } = tokenFigures;
  const text = (textBytes - foreignBytes) / bytesPerToken + foreignBytes / bytesPerTokenBeyondAscii;
  return attachments + Math.ceil(text);
}

/** Tokens of a string that is base64 in a data URL or below the key `data`; 0: it is text. */
function attachmentTokens(body: Uint8Array, start: number, end: number): number {
  if (start === 0 || end - start < leastAttachmentBytes) return 0;
  const head = text(body, start, Math.min(end, start + contextBytes));
  const before = text(body, Math.max(0, start - contextBytes), start);
  const comma = /^data:[^,]*;base64,/.exec(head)?.[0].length;
  if (comma === undefined && !/"data"\s*:\s*"$/.test(before)) return 0;
  if (!/^[A-Za-z0-9+/=_-]*$/.test(head.slice(comma ?? 0))) return 0;
  const around = head.slice(0, comma ?? 0) + before + text(body, end, end + contextBytes);
  const { documentTokens, attachmentTokens: others } = tokenFigures;
  return around.includes("application/pdf") ? documentTokens : others;
}

function text(body: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...body.subarray(start, Math.min(end, body.length)));
}

/** Bytes of a stream for each token of it: what surrounds a token, and how many come together. */
const streamBytesPerToken: Readonly<Record<string, number>> = {
  "openai-chat": 160,
  "openai-completions": 160,
  "openai-responses": 160,
  "anthropic-messages": 24,
};
const otherBytesPerToken = 8;

/** Estimates the output of a reply of which only the size is known. */
export function estimateOutput(dialect: string, isStream: boolean, replyBytes: number): number {
  const { bytesPerToken } = tokenFigures;
  const perToken = streamBytesPerToken[dialect] ?? otherBytesPerToken;
  return Math.ceil(replyBytes / (isStream ? perToken : bytesPerToken));
}
