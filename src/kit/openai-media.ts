import { readDataUrl } from "./data-url.ts";
import { mayText, toObject, toText } from "./json-read.ts";
import { Untranslatable } from "./untranslatable.ts";

interface Image {
  readonly type: "image";
  readonly mediaType: string;
  readonly data?: string;
  readonly url?: string;
  readonly detail: string | undefined;
}

/**
 * An image as OpenAI's APIs take it: by its address, or in it.
 * @param where the part it stands in
 * @param field its address, within the part
 * @throws Untranslatable for another scheme
 */
export function readOpenaiImage(
  address: unknown,
  detail: unknown,
  where: string,
  field: string,
): Image {
  const url = toText(address, `${where}.${field}`);
  const wanted = mayText(detail, `${where}.detail`);
  const inline = readDataUrl(url);
  if (inline !== undefined) return { type: "image", ...inline, detail: wanted };
  if (/^https?:/i.test(url)) return { type: "image", mediaType: "image/*", url, detail: wanted };
  throw new Untranslatable(`${where}.${field}`, "must be a data: or https: address");
}

/** Audio as OpenAI's APIs take it. */
export function readOpenaiAudio(
  value: unknown,
  where: string,
): { readonly type: "audio"; readonly mediaType: string; readonly data: string } {
  const audio = toObject(value, where);
  const format = toText(audio.format, `${where}.format`);
  const data = toText(audio.data, `${where}.data`);
  return { type: "audio", mediaType: format === "mp3" ? "audio/mpeg" : `audio/${format}`, data };
}
