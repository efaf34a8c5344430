import * as v from "valibot";
import { apiOf } from "./apis.ts";
import type { Received } from "./received.ts";
import { requestShapes } from "./request-shapes.ts";
import type { Script } from "./wire.ts";

/** What a strict upstream looks for beside the shape of a body. */
export interface StrictRules {
  /** The credential that must come, in the vendor's own header; undefined: none may. */
  readonly credential: string | undefined;
  /** Words that must be nowhere in a request, such as the clients' keys. */
  readonly secrets: readonly string[];
}

/** Headers that tell of the client or its browser: no provider may see one. */
const neverSent =
  /^(?:cookie2?|origin|referer|forwarded|via|x-forwarded-.*|x-real-ip|x-client-ip|true-client-ip|cf-.*|sec-.*|proxy-.*|te|trailer|upgrade|expect|x-management-key|x-cliproxy-.*)$/i;

/** Where each vendor takes its credential. */
const credentialHeaders = {
  openai: ["authorization", (secret: string) => `Bearer ${secret}`],
  anthropic: ["x-api-key", (secret: string) => secret],
  gemini: ["x-goog-api-key", (secret: string) => secret],
} as const;

/** The vendor's 400 for what it would not take, or should never see; undefined: all is well. */
export function strictAnswer(request: Received, rules: StrictRules): Script | undefined {
  const wrong = problemOf(request, rules);
  if (wrong === undefined) return undefined;
  request.wrong = wrong;
  const body = apiOf(request).error(400, wrong);
  return (wire) => wire.whole(400, { "content-type": "application/json" }, body);
}

function problemOf(request: Received, rules: StrictRules): string | undefined {
  return headerProblem(request, rules) ?? secretProblem(request, rules) ?? bodyProblem(request);
}

function headerProblem(request: Received, { credential }: StrictRules): string | undefined {
  const [home, toValue] = credentialHeaders[vendorOf(request)];
  const seen = new Set<string>();
  for (const [spelled, value] of request.headers) {
    const name = spelled.toLowerCase();
    if (neverSent.test(name)) return `header ${name}: must not be sent to a provider`;
    if (seen.has(name)) return `header ${name}: comes twice`;
    seen.add(name);
    const isCredential = Object.values(credentialHeaders).some(([n]) => n === name);
    if (!isCredential) continue;
    if (name !== home) return `header ${name}: belongs to another vendor`;
    if (credential === undefined) return `header ${name}: no credential is expected`;
    if (value !== toValue(credential)) return `header ${name}: is another credential`;
  }
  if (credential !== undefined && !seen.has(home)) return `header ${home}: is missing`;
  if (home === "x-api-key" && !seen.has("anthropic-version"))
    return "anthropic-version: is missing";
  const isJson = /^application\/json\b/i.test(request.header("content-type") ?? "");
  return request.method === "GET" || isJson ? undefined : "content-type: must be application/json";
}

/** A list is the vendor's whose header asks for it, since two share its path. */
function vendorOf(request: Received): "openai" | "anthropic" | "gemini" {
  return request.path.includes("/v1beta/") ? "gemini" : apiOf(request).vendor;
}

function secretProblem(
  { target, headers, text }: Received,
  rules: StrictRules,
): string | undefined {
  const where = { target, headers: JSON.stringify(headers), body: text };
  for (const [place, content] of Object.entries(where)) {
    if (rules.secrets.some((secret) => content.includes(secret))) return `${place}: holds a secret`;
  }
  return undefined;
}

function bodyProblem(request: Received): string | undefined {
  if (request.method === "GET") return undefined;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(request.body));
  } catch {
    return "body: is no JSON";
  }
  const shape = requestShapes.find(([end]) => end.test(request.path))?.[1];
  if (shape === undefined) return `no such endpoint: ${request.path}`;
  const [issue] = v.safeParse(shape, json).issues ?? [];
  return issue && `${v.getDotPath(issue) ?? "body"}: ${issue.message}`;
}
