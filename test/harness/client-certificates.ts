import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes authorities and certificates of clients in a directory, by the `openssl` command. */
export function createClientCertificates(dir: string) {
  const openssl = (...words: readonly string[]): void =>
    void execFileSync("openssl", words, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  return {
    /** An authority: `<name>.crt` and `<name>.key`. */
    authority(name: string): string {
      const isCa = ["-addext", "basicConstraints=critical,CA:TRUE"];
      const files = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
      openssl("req", "-x509", ...ec, "-days", "9", "-subj", `/CN=${name}`, ...isCa, ...files);
      return join(dir, `${name}.crt`);
    },
    /** A client's certificate: words for curl that show it. */
    client(name: string, authority: string): readonly string[] {
      const ext = join(dir, "client.ext");
      writeFileSync(ext, "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n");
      openssl(
        "req",
        ...ec,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
        "-subj",
        `/CN=${name}`,
      );
      const ca = ["-CA", `${authority}.crt`, "-CAkey", `${authority}.key`, "-CAcreateserial"];
      const of = ["-in", `${name}.csr`, "-out", `${name}.crt`, "-days", "9", "-extfile", ext];
      openssl("x509", "-req", ...ca, ...of);
      return ["--cert", join(dir, `${name}.crt`), "--key", join(dir, `${name}.key`)];
    },
  };
}
