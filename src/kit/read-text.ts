import { inflate } from "./inflate.ts";

/**
 * Reads the body of a response, decoded, up to a bound.
 * @param mostBytes longest body, after decoding
 * @returns the text; undefined if there is none, it is longer, or its coding is not known
 * @throws when the body breaks off or is not UTF-8
 */
export async function readText(
  response: Pick<Response, "headers" | "body">,
  mostBytes: number,
): Promise<string | undefined> {
  const encoding = response.headers.get("content-encoding");
  const limits = { bytes: mostBytes, ratio: 200, ratioFloor: mostBytes };
  const body =
    response.body === null || encoding === null || encoding === "identity"
      ? response.body
      : (inflate(response.body, encoding, limits) ?? null);
  if (body === null) return undefined;
  const reader = body.getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > mostBytes) {
      reader.cancel().catch(() => {});
      return undefined;
    }
    text += decoder.decode(value, { stream: true });
  }
}
