import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { curl } from "../harness/handshake.ts";
import { makeDir, startProxy } from "../harness/proxy.ts";
import { check, type ProblemProof } from "./problem-proof.ts";
import { makeGuidePair, type Yaml } from "./prove.ts";

const symptom = "`certificate verify failed`";

function tls(dir: string): Yaml {
  const files = { cert_file: join(dir, "tls/tls.crt"), key_file: join(dir, "tls/tls.key") };
  return { server: { tls: { enabled: true, ...files } } };
}

/** A pair that is spoilt; the start is refused in so many words, and mended by what they name. */
async function refusedAndMended(
  spoil: (dir: string) => void,
  words: readonly string[],
  mend: (dir: string) => unknown,
): Promise<void> {
  const dir = makeDir();
  await makeGuidePair(dir);
  spoil(dir);
  const { code, err } = await check(tls(dir));
  expect(code).toBe(78);
  for (const word of words) expect(err).toContain(word.replace("DIR", dir));
  await mend(dir);
  const proxy = await startProxy({ config: tls(dir) });
  const { port } = new URL(proxy.url);
  const trust = ["--cacert", join(dir, "tls/tls.crt")];
  expect(await curl(`https://localhost:${port}/healthz`, ...trust)).toContain("ok");
  expect(await proxy.stop()).toBe(0);
}

export const tlsProblems: readonly ProblemProof[] = [
  {
    symptom,
    solution: 1,
    prove: () =>
      refusedAndMended(
        (dir) => rmSync(join(dir, "tls/tls.crt")),
        ["server.tls.cert_file", "DIR/tls/tls.crt can't be read: ENOENT", "let this user read it"],
        makeGuidePair,
      ),
  },
  {
    symptom,
    solution: 2,
    prove: () =>
      refusedAndMended(
        (dir) => {
          const sha1 = ["req", "-x509", "-new", "-sha1", "-key", "tls.key", "-out", "tls.crt"];
          const cwd = join(dir, "tls");
          execFileSync("openssl", [...sha1, "-subj", "/CN=localhost"], { cwd, stdio: "ignore" });
        },
        ["server.tls.cert_file", "is signed with SHA-1", "SHA-256"],
        makeGuidePair,
      ),
  },
  {
    symptom,
    solution: 3,
    prove: () =>
      refusedAndMended(
        (dir) => {
          execFileSync("openssl", ["genrsa", "-out", "other.key", "2048"], {
            cwd: dir,
            stdio: "ignore",
          });
          copyFileSync(join(dir, "other.key"), join(dir, "tls/tls.key"));
        },
        ["server.tls.key_file", "is not the key of the certificate", "made together"],
        makeGuidePair,
      ),
  },
  {
    symptom,
    solution: 4,
    prove: () =>
      refusedAndMended(
        (dir) => chmodSync(join(dir, "tls/tls.key"), 0o644),
        ["server.tls.key_file", "has mode 0644", "chmod 600 DIR/tls/tls.key"],
        (dir) => chmodSync(join(dir, "tls/tls.key"), 0o600),
      ),
  },
];
