import { Buffer } from "node:buffer";
import { isObject } from "./json-member.ts";

interface Token {
  readonly token: string;
  readonly logprob: number;
}

interface Logprob extends Token {
  readonly top: readonly Token[];
}

/** Log probabilities as OpenAI lists them; undefined where there are none. */
export function readLogprobs(list: unknown): Logprob[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const out: Logprob[] = [];
  for (const item of list as unknown[]) {
    const token = readToken(item);
    if (token === undefined || !isObject(item)) continue;
    const top: unknown[] = Array.isArray(item.top_logprobs) ? item.top_logprobs : [];
    out.push({ ...token, top: top.map(readToken).filter((one) => one !== undefined) });
  }
  return out;
}

function readToken(item: unknown): Token | undefined {
  if (!isObject(item)) return undefined;
  const { token, logprob } = item;
  return typeof token === "string" && typeof logprob === "number" ? { token, logprob } : undefined;
}

/** Log probabilities in OpenAI's form. */
export function writeLogprobs(list: readonly Logprob[]): object[] {
  return list.map(({ token, logprob, top }) => ({
    ...withBytes({ token, logprob }),
    top_logprobs: top.map(withBytes),
  }));
}

function withBytes({ token, logprob }: Token): object {
  return { token, logprob, bytes: [...Buffer.from(token)] };
}
