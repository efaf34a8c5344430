import { Buffer } from "node:buffer";

/**
 * The bytes that a text of base64url stands for.
 * @returns undefined unless it is the one spelling of these bytes: decoders skip what they don't
 *   know, so that one secret would have many spellings
 */
export function fromBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/** The same for base64, with or without the `=` at its end. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  const spelled = bytes.toString("base64");
  return spelled === text || spelled.replace(/=+$/, "") === text ? bytes : undefined;
}
