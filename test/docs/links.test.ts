import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";
import { anchorsOf, linksOf, type Page, readPages } from "./markdown.ts";

const root = resolve(import.meta.dirname, "../..");

/** Links that lead nowhere, by page and line. */
function deadLinks(page: Page, pages: readonly Page[], exists: (path: string) => boolean) {
  return linksOf(page).flatMap(({ line, target }) => {
    if (/^[a-z][a-z+.-]*:/i.test(target)) return [];
    const [file = "", anchor] = decodeURIComponent(target).split("#");
    const path = file === "" ? page.path : normalize(join(dirname(page.path), file));
    const where = `${page.path}:${line}: ${target}`;
    if (path.startsWith("..") || file.startsWith("/")) return [`${where} leaves the repository`];
    if (!exists(path)) return [`${where} is no file`];
    if (anchor === undefined) return [];
    const linked = pages.find((other) => other.path === path);
    if (linked === undefined) return [`${where} has an anchor, but is no page`];
    return anchorsOf(linked).has(anchor) ? [] : [`${where} is no heading`];
  });
}

const pages = readPages();

test("the pages are found", () => {
  const paths = pages.map(({ path }) => path);
  expect(paths).toContain("docs/clients/README.md");
  expect(paths).toContain("docs/decisions/001-facts-from-bytes.md");
  expect(pages.flatMap(linksOf).length).toBeGreaterThan(20);
});

test.each(pages.map((page) => [page.path, page] as const))("links of %s", (_path, page) => {
  expect(deadLinks(page, pages, (path) => existsSync(join(root, path)))).toEqual([]);
});

describe("the check", () => {
  const other: Page = {
    path: "docs/b.md",
    text: "# One\n\n## Two & `three`!\n\n## One\n\n```sh\n# Four\n```\n## [Five](x.md) é\n",
  };
  const cases: readonly (readonly [text: string, dead: string | undefined])[] = [
    ["[a](b.md)", undefined],
    ["[a](b.md#two--three)", undefined],
    ["[a](b.md#one-1)", undefined],
    ["[a](b.md#five-é)", undefined],
    ["[a](#here)\n\n# Here", undefined],
    ["![a](../README.md)", undefined],
    ["[a](https://example.com/nowhere)", undefined],
    ["`[a](nowhere.md)`", undefined],
    ["```\n[a](nowhere.md)\n```", undefined],
    ["\n[a](nowhere.md)", "docs/a.md:2: nowhere.md is no file"],
    ["`code` [a](nowhere.md)", "docs/a.md:1: nowhere.md is no file"],
    ['[a](nowhere.md "title")', "docs/a.md:1: nowhere.md is no file"],
    ["[a]: nowhere.md", "docs/a.md:1: nowhere.md is no file"],
    ["[a](b.md#four)", "docs/a.md:1: b.md#four is no heading"],
    ["[a](b.md#one-2)", "docs/a.md:1: b.md#one-2 is no heading"],
    ["[a](#nowhere)", "docs/a.md:1: #nowhere is no heading"],
    ["[a](../../x.md)", "docs/a.md:1: ../../x.md leaves the repository"],
    ["[a](/README.md)", "docs/a.md:1: /README.md leaves the repository"],
  ];
  test.each(cases)("%j", (text, dead) => {
    const page = { path: "docs/a.md", text };
    const known = new Set(["docs/a.md", "docs/b.md", "README.md"]);
    const found = deadLinks(page, [page, other], (path) => known.has(path));
    expect(found).toEqual(dead === undefined ? [] : [dead]);
  });
});
