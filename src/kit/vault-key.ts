import { Buffer } from "node:buffer";
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { isSampleKey } from "./client-key.ts";
import { fromBase64, fromBase64Url } from "./strict-bytes.ts";

/** A key of the vault: what is derived from it, each part for one purpose only (RFC 5869). */
export interface VaultKey {
  /** 16 hex digits that tell keys apart and say nothing about them. */
  readonly id: string;
  /** Encrypts credentials. */
  readonly sealing: KeyObject;
  /** Proves that a key is the one a store was made with: 32 bytes in hex. */
  readonly check: string;
  /** The key as it was given, for files that other programs wrote with it. */
  readonly plain: KeyObject;
}

/** A key, or a sentence about what is wrong with its text; never the text. */
export type ParsedKey =
  | { readonly ok: true; readonly key: VaultKey; readonly warning: string | undefined }
  | { readonly ok: false; readonly message: string };

/** The placeholder of the guide is 32 characters long: it would pass for a key. */
const placeholder = "YOUR_32_BYTE_ENCRYPTION_KEY_HERE";
const keyBytes = 32;
/** Random bytes have about 30 different values among 32; fewer than this is a pattern. */
const leastDistinctBytes = 10;

export const keyForms =
  "43 or 44 characters of base64 or base64url (openssl rand -base64 32), 64 hex digits " +
  "(openssl rand -hex 32), or 32 ASCII characters";

/** The mend for every key that is none. */
export const keyMend = "make one with `openssl rand -base64 32`";

/** Reads an encryption key in one of its four forms, which no length can confuse. */
export function parseVaultKey(text: string): ParsedKey {
  const key = text.replace(/\r?\n$/, "");
  if (key === placeholder) return wrong("is the placeholder of the guide");
  const bytes = decode(key);
  if (typeof bytes === "string") return wrong(bytes);
  if (new Set(bytes).size < leastDistinctBytes) {
    return wrong(`repeats itself: fewer than ${leastDistinctBytes} of its bytes differ`);
  }
  const isRaw = key.length === keyBytes;
  if (isRaw && isSampleKey(key)) return wrong("is a sample, or too easy to guess");
  const warning =
    isRaw && /^[0-9a-f]+$/i.test(key)
      ? "is 32 hex digits, which hold only 128 bits: 64 of them make a full key"
      : undefined;
  return { ok: true, key: toVaultKey(bytes), warning };
}

function wrong(message: string): ParsedKey {
  return { ok: false, message };
}

function decode(key: string): Uint8Array | string {
  if (!/^[\x20-\x7e]*$/.test(key)) return "holds characters that are not ASCII";
  if (key.length === keyBytes) return Buffer.from(key, "latin1");
  if (key.length === 2 * keyBytes && /^[0-9a-f]+$/i.test(key)) return Buffer.from(key, "hex");
  if (key.length === 43 || key.length === 44) {
    const bytes = fromBase64(key) ?? fromBase64Url(key.replace(/=$/, ""));
    if (bytes?.length === keyBytes) return bytes;
    return `has ${key.length} characters, but they are not the base64 or base64url of 32 bytes`;
  }
  return `has ${key.length} characters; a key is ${keyForms}`;
}

/** Derives all that the vault needs of 32 bytes. */
export function toVaultKey(bytes: Uint8Array): VaultKey {
  return {
    id: derive(bytes, "key-id", 8).toString("hex"),
    sealing: createSecretKey(derive(bytes, "credential", 32)),
    check: derive(bytes, "key-check", 32).toString("hex"),
    plain: createSecretKey(bytes),
  };
}

/** HKDF-SHA256 without salt (RFC 5869): the input is a random key, not a password. */
function derive(bytes: Uint8Array, purpose: string, length: number): Buffer {
  const info = `cliproxy vault v1 ${purpose}`;
  return Buffer.from(hkdfSync("sha256", bytes, new Uint8Array(0), info, length));
}
