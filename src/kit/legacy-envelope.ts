import { Buffer } from "node:buffer";
import { createDecipheriv } from "node:crypto";
import { fromBase64, fromBase64Url } from "./strict-bytes.ts";
import type { VaultKey } from "./vault-key.ts";

const nonceBytes = 12;
const tagBytes = 16;

/**
 * Decrypts `nonce ‖ ciphertext ‖ tag` (AES-256-GCM, the key as it is, no additional data), raw or
 * in base64: what proxies write that share the guide. Nothing in it tells which key it needs.
 * @returns undefined when no key opens it
 */
export function openLegacy(
  keys: readonly VaultKey[],
  bytes: Uint8Array,
): { readonly text: string; readonly keyId: string } | undefined {
  for (const form of formsOf(bytes)) {
    for (const key of keys) {
      const text = open(key, form);
      if (text !== undefined) return { text, keyId: key.id };
    }
  }
  return undefined;
}

function formsOf(bytes: Uint8Array): readonly Uint8Array[] {
  const text = Buffer.from(bytes).toString("latin1").trim();
  const decoded = fromBase64(text) ?? fromBase64Url(text);
  return decoded === undefined ? [bytes] : [bytes, decoded];
}

function open(key: VaultKey, bytes: Uint8Array): string | undefined {
  if (bytes.length <= nonceBytes + tagBytes) return undefined;
  const nonce = bytes.subarray(0, nonceBytes);
  const end = bytes.length - tagBytes;
  const decipher = createDecipheriv("aes-256-gcm", key.plain, nonce, { authTagLength: tagBytes });
  decipher.setAuthTag(bytes.subarray(end));
  try {
    const start = decipher.update(bytes.subarray(nonceBytes, end));
    const plain = Buffer.concat([start, decipher.final()]);
    return new TextDecoder("utf-8", { fatal: true }).decode(plain);
  } catch {
    return undefined;
  }
}
