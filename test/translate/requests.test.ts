import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { agentRequest, dialects, pairs, translationOf } from "../../bench/conversation.ts";
import type { NeutralPart, NeutralRequest } from "../../src/contract/neutral.ts";
import type { Told } from "../../src/contract/translation.ts";
import { translateRequest } from "../../src/translate/request.ts";

const told = (): Told => ({ dropped: new Set(), changed: new Set() });
const asked = { model: "m", stream: true };

/** What was said, whatever each API calls it: ids of calls aside, which not all of them have. */
function saidIn({ system, messages, tools }: NeutralRequest) {
  const textOf = (part: NeutralPart): unknown => {
    if (part.type === "text") return part.text;
    if (part.type === "tool_call") return { call: part.name, with: JSON.parse(part.arguments) };
    if (part.type === "tool_result") return { result: part.parts.map(textOf).join("") };
    return part.type;
  };
  const flat = messages.flatMap(({ role, parts }) => parts.map((part) => [role, textOf(part)]));
  return {
    system: system.map(({ text }) => text).join("\n\n"),
    flat,
    tools: tools.map(({ name, description }) => ({ name, description })),
  };
}

const request = agentRequest(3);

describe("a request that a dialect writes, it reads:", () => {
  test.each(dialects.map((dialect) => [dialect.name, dialect] as const))("%s", (_name, dialect) => {
    const translation = translationOf(dialect);
    const written = translation.writeRequest(request, "m", told());
    const body = JSON.parse(JSON.stringify(written)) as Record<string, unknown>;
    const read = translation.readRequest(body, asked, told());
    expect(saidIn(read)).toEqual(saidIn(request));
    expect(read.maxOutputTokens).toBe(1000);
  });
});

describe("a conversation of 100 KB with tools says the same in another dialect:", () => {
  test.each(pairs)("%s to %s", (_from, _to, client, provider) => {
    const long = agentRequest(28);
    const body = Buffer.from(JSON.stringify(translationOf(client).writeRequest(long, "m", told())));
    expect(body.byteLength).toBeWithin(90_000, 140_000);
    const made = translateRequest(body, asked, client, provider, "m");
    if ("code" in made) throw new Error(made.message);
    const theirs = JSON.parse(Buffer.from(made.body).toString()) as Record<string, unknown>;
    const read = translationOf(provider).readRequest(theirs, asked, told());
    expect(saidIn(read)).toEqual(saidIn(long));
  });
});
