import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDir, runBinary } from "../harness/proxy.ts";
import { type CommandProof, run } from "./shell.ts";

/** A house with credentials and a certificate, as the guide lays it out. */
interface Place {
  readonly dir: string;
  readonly config: string;
  readonly credential: string;
}

async function makePlace(more = ""): Promise<Place> {
  const dir = makeDir();
  mkdirSync(join(dir, "auths"), { mode: 0o700 });
  mkdirSync(join(dir, "tls"));
  const config = join(dir, "config.yaml");
  const text = [
    `auth: { dir: ${join(dir, "auths")} }`,
    `state: { path: ${join(dir, "state/s.db")} }`,
    "server:",
    `  tls: { enabled: true, cert_file: ${dir}/tls/tls.crt, key_file: ${dir}/tls/tls.key }`,
    more,
  ];
  writeFileSync(config, text.join("\n"), { mode: 0o600 });
  const made = await runBinary(["tls", "new", "--host", "localhost", "--dir", join(dir, "tls")]);
  expect(made.code).toBe(0);
  const token = join(dir, "token");
  writeFileSync(token, "sk-ant-api03-Zk3vQ9xT7mW2Lw8Rb1Tn6Yc", { mode: 0o600 });
  const add = ["auths", "add", "claude", "--token-file", token, "--config", config];
  expect((await runBinary(add)).code).toBe(0);
  return { dir, config, credential: join(dir, "auths/claude.json") };
}

/** Ids of what `doctor` finds. */
async function findings({ config }: Place): Promise<string[]> {
  const { out } = await runBinary(["doctor", "--json", "--config", config]);
  const { findings: found } = JSON.parse(out) as { findings: { id: string }[] };
  return found.map(({ id }) => id);
}

/** What the script's command tells, doctor tells too: not before the fault, and after it. */
async function both(
  command: string,
  place: Place,
  id: string,
  spoil: () => void,
  isTold: (told: { code: number; out: string }) => boolean,
): Promise<void> {
  expect(isTold(await run(command, place.dir))).toBe(false);
  expect(await findings(place)).not.toContain(id);
  spoil();
  expect(isTold(await run(command, place.dir))).toBe(true);
  expect(await findings(place)).toContain(id);
}

const script = "check before deployment";

function says(command: string): CommandProof {
  return {
    block: script,
    command,
    async prove() {
      const { code, out } = await run(command, makeDir());
      expect([code, out]).toEqual([0, `${/"(.*)"/.exec(command)?.[1]}\n`]);
    },
  };
}

export const doctorCommands: readonly CommandProof[] = [
  says('echo "Running security checks..."'),
  says('echo "Checking file permissions..."'),
  {
    block: script,
    command: "find auths/ -type f ! -perm 600",
    async prove(command) {
      const place = await makePlace();
      await both(
        command,
        place,
        "files-credential-mode",
        () => chmodSync(place.credential, 0o644),
        ({ out }) => out.includes("auths/claude.json"),
      );
    },
  },
  {
    block: script,
    command: "find auths/ -type d ! -perm 700",
    async prove(command) {
      const place = await makePlace();
      await both(
        command,
        place,
        "files-auth-dir-mode",
        () => chmodSync(join(place.dir, "auths"), 0o755),
        ({ out }) => out.includes("auths/"),
      );
    },
  },
  says('echo "Scanning for secrets..."'),
  {
    // A tool of its own, for repositories; doctor looks at what the proxy has (decision).
    block: script,
    command: "git secrets --scan",
    async prove() {
      const clean = await makePlace();
      expect(await findings(clean)).not.toContain("secrets-pasted");
      const leaky = await makePlace("# was: sk-ant-api03-abcdefgh12345678");
      expect(await findings(leaky)).toContain("secrets-pasted");
    },
  },
  says('echo "Verifying TLS..."'),
  {
    block: script,
    command: "openssl x509 -in tls/tls.crt -checkend 86400",
    async prove(command) {
      const place = await makePlace();
      const spoil = (): void => {
        const soon = new Date(Date.now() + 3_600_000).toISOString().replace(/[-:T]|\.\d+/g, "");
        const ends = ["-not_before", "20250101000000Z", "-not_after", soon];
        const tls = join(place.dir, "tls");
        const days = opensslTakesDates() ? ends : ["-days", "1"];
        const names = ["-addext", "subjectAltName=DNS:localhost"];
        const words = ["req", "-x509", "-new", "-key", "tls.key", "-subj", "/CN=localhost"];
        execFileSync("openssl", [...words, ...names, "-out", "tls.crt", ...days], {
          cwd: tls,
          stdio: "ignore",
        });
      };
      await both(command, place, "tls-ends-soon", spoil, ({ code }) => code === 1);
    },
  },
  says('echo "Scanning dependencies..."'),
  {
    // Needs the network, so doctor names what it can't do, with the SBOM (decision).
    block: script,
    command: "trivy fs .",
    async prove() {
      expect(await findings(await makePlace())).toContain("checklist-dependencies");
    },
  },
  says('echo "Security checks complete!"'),
  {
    block: "running the check",
    command: "./security-check.sh",
    async prove() {
      const place = await makePlace();
      // Within a closed directory it would be a lesser finding.
      chmodSync(place.dir, 0o755);
      const ask = ["doctor", "--only", "files", "--config", place.config];
      expect((await runBinary(ask)).code).toBe(0);
      chmodSync(place.credential, 0o644);
      chmodSync(join(place.dir, "auths"), 0o755);
      const { code, out } = await runBinary(ask);
      expect(code).toBe(1);
      expect(out).toContain("chmod");
    },
  },
];

/** OpenSSL 3.4 and later set both ends of a certificate; one of a day ends within 86400 s, too. */
function opensslTakesDates(): boolean {
  const [, major = 0, minor = 0] =
    /OpenSSL (\d+)\.(\d+)/.exec(execFileSync("openssl", ["version"]).toString())?.map(Number) ?? [];
  return major > 3 || (major === 3 && minor >= 4);
}
