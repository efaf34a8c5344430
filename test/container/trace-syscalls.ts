/**
 * Run by `npm run seccomp`: traces the executable through the tests of it, and writes what it calls
 * into the profiles of deploy/. Give it folders or files of tests to trace others.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { profileOf } from "./seccomp-profile.ts";

const root = resolve(import.meta.dirname, "../..");

/** The system calls in the traces of a directory. */
export function callsIn(dir: string): Set<string> {
  const calls = new Set<string>();
  for (const file of readdirSync(dir)) {
    const text = readFileSync(join(dir, file), "latin1");
    for (const [, name = ""] of text.matchAll(/^\d+ +([a-z][a-z0-9_]+)\(/gm)) calls.add(name);
  }
  return calls;
}

function traceTests(paths: readonly string[]): Set<string> {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-traces-"));
  try {
    const env = { ...process.env, CLIPROXY_TEST_TRACE: dir };
    // What a test expects of time may fail under a tracer; what it called is traced all the same.
    spawnSync(process.execPath, ["test", ...paths], { cwd: root, env, stdio: "inherit" });
    return callsIn(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const given = process.argv.slice(2);
  const calls = traceTests(given.length > 0 ? given : ["test/binary", "test/guide"]);
  for (const form of ["base", "static"] as const) {
    const name = form === "base" ? "seccomp.json" : "seccomp-static.json";
    const text = `${JSON.stringify(profileOf(calls, form), null, 2)}\n`;
    writeFileSync(join(root, "deploy", name), text);
  }
  console.log(`${calls.size} system calls traced; see git diff deploy/`);
}
