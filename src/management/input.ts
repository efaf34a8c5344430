import * as v from "valibot";
import { readBody } from "../body.ts";
import { customMessage } from "../config/wording.ts";
import type { AdminOperation } from "../contract/admin.ts";
import type { Refusal } from "../errors.ts";
import type { RunningExchange } from "../exchange.ts";
import { maskRandom } from "../kit/random-text.ts";

/** Largest body of a management request, in bytes. */
export const bodyBytes = 1024 * 1024;
/** How long it may take to arrive, in milliseconds. */
const bodyTimeoutMs = 15_000;
/** Most problems that one answer tells. */
const mostProblems = 10;

/** What was sent, as the operation's schema makes it. */
export type Input = { readonly value: unknown } | Refusal;

/** Bytes of request bodies that the process may hold, and does. */
export interface Budget {
  readonly budget: { held: number };
  readonly bodyBytesInFlight: number;
}

/** Checks the query; a parameter that is sent twice means two things to two readers. */
export function readQuery(x: RunningExchange, { query: schema }: AdminOperation): Input {
  const { searchParams } = new URL(x.request.url, "http://host");
  const names = [...searchParams.keys()];
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined) {
    return { code: "bad_request", message: `The query names \`${repeated}\` twice.` };
  }
  return judge(schema ?? v.strictObject({}), Object.fromEntries(searchParams), "bad_request");
}

/** Reads the JSON body within its limits and checks it. */
export async function readJson(
  x: RunningExchange,
  { body: schema }: AdminOperation,
  { budget, bodyBytesInFlight }: Budget,
): Promise<Input> {
  if (schema === undefined) return { value: undefined };
  // Forms and plain text are what a page of another site can send without asking first.
  if (!/^application\/json\s*(?:;|$)/i.test(x.header("content-type") ?? "")) {
    const message = "Send the body as JSON, with `Content-Type: application/json`.";
    return { code: "unsupported_media_type", message };
  }
  const limits = { bodyBytes, bodyBytesInFlight, bodyTimeoutMs };
  // These are small and rare: the collector may have them.
  const read = await readBody(x, limits, budget, () => {});
  if ("code" in read) {
    if (read.code !== "body_too_large") return read;
    return { code: read.code, message: `A management request has at most ${bodyBytes} bytes.` };
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(read.bytes);
    return judge(schema, JSON.parse(text), "unprocessable");
  } catch {
    return { code: "bad_request", message: "The body is not JSON in UTF-8." };
  } finally {
    read.hold.release();
  }
}

function judge(
  schema: v.GenericSchema,
  value: unknown,
  code: "bad_request" | "unprocessable",
): Input {
  const result = v.safeParse(schema, value);
  if (result.success) return { value: result.output };
  const problems = result.issues.slice(0, mostProblems).map(word);
  return { code, message: `${problems.join("; ")}.` };
}

/** What is wrong and where; never the value, which may be a secret. */
function word(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  // A name that is not known may be a secret, too.
  const where = path === null ? "the body" : `\`${maskRandom(path)}\``;
  if (issue.expected === "never") return `${where} is not known here`;
  if (issue.input === undefined) return `${where} is missing`;
  return `${where} ${customMessage(issue) ?? `must be ${issue.expected ?? "valid"}`}`;
}
