import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "./cleanup.ts";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority of its own, and what it signs. */
export interface Authority {
  /** For `NODE_EXTRA_CA_CERTS`. */
  readonly file: string;
  /** @param days until it ends; negative: it has ended */
  sign(names: string, days: number): Certificate;
  /** Signed by nobody but itself. */
  selfSigned(names: string): Certificate;
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes certificates by the `openssl` command, in a directory that goes with the test. */
export function createAuthority(): Authority {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-certs-"));
  onCleanup(() => rmSync(dir, { recursive: true, force: true }));
  const openssl = (...words: readonly string[]): void =>
    void execFileSync("openssl", words, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  const read = (name: string): string => readFileSync(join(dir, name), "utf8");
  const subject = ["-subj", "/CN=localhost"];
  const isCa = ["-addext", "basicConstraints=critical,CA:TRUE"];
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
    "-days",
    "2",
    ...isCa,
    "-subj",
    "/CN=test authority",
  );
  return {
    file: join(dir, "ca.crt"),
    sign(names, days) {
      openssl("req", ...newKey, "-keyout", "leaf.key", "-out", "leaf.csr", ...subject);
      writeFileSync(join(dir, "leaf.ext"), `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`);
      const ca = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
      openssl(
        "x509",
        "-req",
        "-in",
        "leaf.csr",
        ...ca,
        "-days",
        String(days),
        "-extfile",
        "leaf.ext",
        "-out",
        "leaf.crt",
      );
      return { cert: read("leaf.crt"), key: read("leaf.key") };
    },
    selfSigned(names) {
      const san = ["-addext", `subjectAltName=${names}`];
      openssl(
        "req",
        "-x509",
        ...newKey,
        "-keyout",
        "own.key",
        "-out",
        "own.crt",
        "-days",
        "2",
        ...subject,
        ...san,
      );
      return { cert: read("own.crt"), key: read("own.key") };
    },
  };
}
