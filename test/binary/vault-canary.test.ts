import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeAuthsPlace, vaultKeys } from "../harness/auths-place.ts";
import { cleanUp } from "../harness/cleanup.ts";
import { needBinary } from "../harness/proxy.ts";

beforeAll(needBinary);
afterAll(cleanUp);

test("no command shows a token or a key, not even when it fails", () => {
  const place = makeAuthsPlace();
  const canary = "canary-93kd83jd7Qm2vXz9Kd4L";
  const oauth = { type: "oauth", refresh_token: canary, token_url: `http://${canary}.example/` };
  const told: string[] = [];
  const run = (args: readonly string[], input?: string): void => {
    for (const more of [[], ["--json"]]) {
      const { out, err } = place.run([...args, ...more], input);
      told.push(out, err);
    }
  };
  const auths = place.auths;
  run(["add", "claude"], `${canary}-1234`);
  run(["add", "claude"], `${canary}-5678`);
  run(["add", "nobody"], `${canary}-1234`);
  run(["add", "claude", "../x"], `${canary}-1234`);
  run(["add", "claude", "a"], `${canary} with a space`);
  run(["add", "claude", "b"], JSON.stringify(oauth));
  run(["add", "claude", "c"], `{"type":"api_key","token":"${canary}`);
  run(["add", "claude", "d", "--token", `${canary}`]);
  writeFileSync(join(auths, "claude-plain.json"), `{"type":"api_key","token":"${canary}"}`);
  writeFileSync(join(auths, "claude-half.json"), `{"type":"api_key","token":"${canary}`);
  writeFileSync(join(auths, "claude-odd.json"), `{"type":"${canary}","token":["${canary}"]}`);
  for (const command of ["list", "encrypt", "rotate"]) run([command]);
  run(["import", auths]);
  place.encryption({ enabled: true, key: vaultKeys[1] });
  for (const command of ["list", "encrypt", "rotate"]) run([command]);
  place.encryption({ enabled: true, key: `${canary}${canary}` });
  run(["list"]);
  place.encryption({ enabled: true, keys: [vaultKeys[0]] });
  run(["remove", "claude"]);
  run(["remove", "claude", "--all"]);
  const text = told.join("\n");
  expect(text).toContain("decryption failed");
  expect(text.length).toBeGreaterThan(500);
  for (const secret of ["canary-93kd83jd", ...vaultKeys]) expect(text).not.toContain(secret);
}, 60_000);
