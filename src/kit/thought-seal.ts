import { Buffer } from "node:buffer";
import { isObject, parse } from "./json-member.ts";

/** What proves a thought to the provider that had it, and means nothing to any other. */
interface Seal {
  readonly origin: string;
  readonly value: string;
  readonly redacted?: boolean | undefined;
  readonly id?: string | undefined;
}

/** No vendor's signature starts so. */
const mark = "cpx1:";
const encodedMark = Buffer.from(mark).toString("base64").slice(0, 6);

/** Longest seal that is opened, in characters: vendors' own are a few KB. */
export const longestSeal = 4 * 1024 * 1024;

/** A seal as a client of another dialect keeps it: base64, since some clients decode theirs. */
export function wrapSeal({ origin, value, redacted, id }: Seal): string {
  const content = { o: origin, v: value, ...(redacted && { r: true }), ...(id && { i: id }) };
  return Buffer.from(mark + JSON.stringify(content)).toString("base64");
}

/**
 * What a client sends back.
 * @param dialect whose own seal it is, if none of another is in it
 */
export function unwrapSeal(text: string, dialect: string, redacted?: boolean): Seal {
  const own: Seal = { origin: dialect, value: text, ...(redacted && { redacted }) };
  if (!text.startsWith(encodedMark) || text.length > longestSeal) return own;
  const content = Buffer.from(text, "base64").toString();
  const found = content.startsWith(mark) ? parse(content.slice(mark.length)) : undefined;
  if (!isObject(found)) return own;
  const { o: origin, v: value, r, i: id } = found;
  if (typeof origin !== "string" || typeof value !== "string") return own;
  return { origin, value, ...(r === true && { redacted: true }), ...(isText(id) && { id }) };
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
