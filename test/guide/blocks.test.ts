import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";
import { type GuideBlock, guideBlocks, guideProblems } from "./blocks.ts";

/** The guide lies beside the project where it is developed; elsewhere the fixtures stand alone. */
const guide = resolve(import.meta.dirname, "../../../shared/spec/security-guide.md");

interface Fenced {
  readonly language: string;
  readonly text: string;
}

function fencedBlocks(markdown: string): Fenced[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({
    language: language ?? "",
    text: text ?? "",
  }));
}

/** What a block holds, in the form of a fixture. */
function holdsOf({ language, text }: Fenced): GuideBlock["holds"] {
  if (language === "yaml") return { yaml: parse(text) };
  if (language === "json") return { json: JSON.parse(text) };
  const lines = text.split("\n").map((line) => line.trim());
  if (language === "bash") {
    return { commands: lines.filter((line) => line !== "" && !line.startsWith("#")) };
  }
  return { lines: lines.filter((line) => line !== "") };
}

describe.if(existsSync(guide))("the fixtures hold the guide", () => {
  const text = existsSync(guide) ? readFileSync(guide, "utf8") : "";
  const blocks = fencedBlocks(text);

  test("as many blocks", () => {
    expect(guideBlocks.length).toBe(blocks.length);
    expect(blocks.length).toBeGreaterThan(25);
  });

  test.each(guideBlocks.map((block, i) => [block.id, block, i] as const))("%s", (_id, block, i) => {
    expect(block.holds).toEqual(holdsOf(blocks[i] as Fenced));
  });

  test("every problem of the troubleshooting section", () => {
    const found = [
      ...text.matchAll(/\*\*Problem\*\*: (.*)\n\n\*\*Solutions\*\*:\n((?:\d+\. .*\n)+)/g),
    ].map(([, symptom, list = ""]) => ({
      symptom: symptom ?? "",
      solutions: list.trim().split("\n").length,
    }));
    expect(guideProblems.map(({ symptom, solutions }) => ({ symptom, solutions }))).toEqual(found);
  });
});

test("ids are unique", () => {
  expect(new Set(guideBlocks.map(({ id }) => id)).size).toBe(guideBlocks.length);
});
