import { expect } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { curl, shake, suiteOf } from "../harness/handshake.ts";
import { makeDir, type RunningProxy, startProxy } from "../harness/proxy.ts";
import { configOfProxy } from "./asking.ts";
import { blockOf, type KeyProof, makeGuidePair, type Yaml } from "./prove.ts";
import { type CommandProof, run } from "./shell.ts";

const block = "tls";
const root = "server.tls";

function tlsOf(proxy: RunningProxy) {
  return configOfProxy(proxy).server.tls as { cert_file: string; key_file: string };
}

/** What a client gets that trusts the certificate of the file, and nothing else. */
async function isServed(proxy: RunningProxy): Promise<void> {
  const { port } = new URL(proxy.url);
  const told = await curl(
    `https://localhost:${port}/healthz`,
    ...["--cacert", tlsOf(proxy).cert_file],
  );
  expect(told).toContain("ok");
}

function suiteProof(iana: string, openssl: string): KeyProof {
  return {
    block,
    key: `${root}.cipher_suites[${iana}]`,
    async prove({ url }) {
      expect(suiteOf(await shake(url, "-tls1_2", "-cipher", openssl))).toBe(openssl);
      // What the list leaves out is not offered, good as it may be.
      const other = "ECDHE-RSA-CHACHA20-POLY1305";
      expect(suiteOf(await shake(url, "-tls1_2", "-cipher", other))).toBe("(NONE)");
    },
  };
}

export const tlsProofs: readonly KeyProof[] = [
  {
    block,
    key: "server.port",
    without: 0,
    async prove(proxy) {
      expect(new URL(proxy.url).port).toBe(String(configOfProxy(proxy).server.port));
      await isServed(proxy);
    },
  },
  { block, key: `${root}.enabled`, without: false, prove: isServed },
  { block, key: `${root}.cert_file`, prove: isServed },
  { block, key: `${root}.key_file`, prove: isServed },
  {
    block,
    key: `${root}.min_version`,
    without: "1.3",
    // The suites are of 1.2: with them the second run would not even start.
    also: { [`${root}.cipher_suites`]: undefined },
    async prove({ url }) {
      expect(suiteOf(await shake(url, "-tls1_2"))).toStartWith("ECDHE-RSA-");
      for (const older of ["-tls1", "-tls1_1"]) {
        const told = await shake(url, older, "-cipher", "ALL:@SECLEVEL=0");
        expect(suiteOf(told)).toBe("(NONE)");
      }
    },
  },
  suiteProof("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
  suiteProof("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
  {
    block: "security headers",
    key: "server.security.headers.strict_transport_security",
    without: "",
    async with(dir) {
      return { server: { tls: { enabled: true, ...(await makeGuidePair(dir)) } } };
    },
    async prove(proxy) {
      const told = await curl(`${proxy.url}/healthz`, "-ki");
      expect(told).toMatch(/^strict-transport-security: max-age=31536000; includeSubDomains\r$/im);
    },
  },
];

function commandsIn(id: string): string {
  const { holds } = blockOf(id);
  return "commands" in holds ? holds.commands.join("\n") : "";
}

/** A proxy that serves a pair by TLS. */
function serve(dir: string, more: Yaml = {}): Promise<RunningProxy> {
  const files = { cert_file: join(dir, "tls.crt"), key_file: join(dir, "tls.key") };
  return startProxy({ config: { server: { tls: { enabled: true, ...files, ...more } } } });
}

/** A client that looks at names alone and not at the subject, as Go's and urllib3 2 do. */
async function verdictOfStrict(proxy: RunningProxy, dir: string): Promise<string> {
  const { port } = new URL(proxy.url);
  const program = `
import socket, ssl
context = ssl.create_default_context(cafile="tls.crt")
context.hostname_checks_common_name = False
try:
    plain = socket.create_connection(("127.0.0.1", ${port}))
    context.wrap_socket(plain, server_hostname="localhost")
    print("verified", end="")
except ssl.SSLError as error:
    print(error)`;
  return (await run(`python3 -c '${program}'`, dir)).out;
}

/** Clients look for names that the guide's recipe does not write; ours says so, and how. */
async function selfSigned(): Promise<void> {
  const recipe = commandsIn("self-signed certificate");
  const dir = makeDir();
  expect((await run(recipe, dir)).code).toBe(0);
  expect(statSync(join(dir, "tls.key")).mode & 0o777).toBe(0o600);
  const proxy = await serve(dir);
  expect(proxy.stderr()).toContain("no names (SAN)");
  expect(await verdictOfStrict(proxy, dir)).toContain("CERTIFICATE_VERIFY_FAILED");
  await proxy.stop();
  const better = makeDir();
  const names = "-addext subjectAltName=DNS:localhost,IP:127.0.0.1";
  const corrected = recipe.replace(
    "-days 365",
    `-days 365 ${names} -addext basicConstraints=CA:FALSE`,
  );
  expect((await run(corrected, better)).code).toBe(0);
  const good = await serve(better);
  expect(good.stderr()).not.toContain("SAN");
  await isServed(good);
  expect(await verdictOfStrict(good, better)).toBe("verified");
  expect(new X509Certificate(readFileSync(join(better, "tls.crt"))).ca).toBe(false);
  await good.stop();
}

/**
 * What certbot and its authority do needs a public name: a stand-in writes what certbot writes now,
 * an ECDSA key and a chain; all that follows is the guide's own.
 */
async function publicAuthority(): Promise<void> {
  const dir = makeDir();
  for (const name of ["bin", "live/proxy.example.com", "tls"]) {
    mkdirSync(join(dir, name), { recursive: true });
  }
  const recipe = commandsIn("certificate of a public authority").replaceAll(
    "/etc/letsencrypt/live",
    join(dir, "live"),
  );
  const ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
  const standIn = `
sudo() { "$@"; }
chown() { :; }
apt-get() { [ "$*" = "install certbot" ]; }
certbot() (
  [ "$*" = "certonly --standalone -d proxy.example.com" ] || exit 1
  cd ${join(dir, "live/proxy.example.com")}
  openssl req -x509 ${ec} -keyout ca.key -out ca.crt -days 9 -subj "/CN=authority" 2>/dev/null
  openssl req ${ec} -keyout privkey.pem -out csr.pem -subj "/CN=proxy.example.com" 2>/dev/null
  printf 'subjectAltName=DNS:proxy.example.com\\nbasicConstraints=CA:FALSE\\n' >ext
  openssl x509 -req -in csr.pem -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 \\
    -extfile ext -out leaf.pem 2>/dev/null
  cat leaf.pem ca.crt >fullchain.pem
)
set -e
${recipe}`;
  expect((await run(standIn, dir)).code).toBe(0);
  expect(statSync(join(dir, "tls/tls.key")).mode & 0o777).toBe(0o600);
  const proxy = await serve(join(dir, "tls"));
  const { port } = new URL(proxy.url);
  const told = await curl(
    `https://proxy.example.com:${port}/healthz`,
    ...["--resolve", `proxy.example.com:${port}:127.0.0.1`],
    ...["--cacert", join(dir, "live/proxy.example.com/ca.crt")],
  );
  expect(told).toContain("ok");
  await proxy.stop();
  // The guide's own list of suites is for RSA keys: TLS 1.2 would be dead, so the start says so.
  const suites = ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"];
  await expect(serve(join(dir, "tls"), { cipher_suites: suites })).rejects.toThrow(
    "has no suite for the ECDSA key",
  );
}

function recipeOf(id: string, commands: readonly string[], prove: () => Promise<void>) {
  return commands.map((command): CommandProof => ({ block: id, command, prove }));
}

export const tlsCommands: readonly CommandProof[] = [
  ...recipeOf(
    "self-signed certificate",
    [
      "openssl genrsa -out tls.key 2048",
      "openssl req -new -x509 -key tls.key -out tls.crt -days 365 " +
        '-subj "/C=US/ST=State/L=City/O=Organization/CN=localhost"',
      "chmod 600 tls.key",
      "chmod 644 tls.crt",
    ],
    selfSigned,
  ),
  ...recipeOf(
    "certificate of a public authority",
    [
      "sudo apt-get install certbot",
      "sudo certbot certonly --standalone -d proxy.example.com",
      "sudo cp /etc/letsencrypt/live/proxy.example.com/fullchain.pem tls/tls.crt",
      "sudo cp /etc/letsencrypt/live/proxy.example.com/privkey.pem tls/tls.key",
      "sudo chown $USER:$USER tls/tls.key tls/tls.crt",
      "chmod 600 tls/tls.key",
      "chmod 644 tls/tls.crt",
    ],
    publicAuthority,
  ),
];
