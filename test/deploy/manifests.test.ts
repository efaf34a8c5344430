import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { cleanUp } from "../harness/cleanup.ts";
import { makeDir, runBinary } from "../harness/proxy.ts";

const root = resolve(import.meta.dirname, "../..");
const deploy = join(root, "deploy");
afterAll(cleanUp);

// biome-ignore lint/suspicious/noExplicitAny: foreign documents, looked into by path
type Document = any;

function read(name: string): string {
  return readFileSync(join(deploy, name), "utf8");
}

const drainSeconds = 25;

test("the drain that all of them wait for is the default", () => {
  expect(readFileSync(join(root, "config.example.yaml"), "utf8")).toContain("#drain_timeout: 25s");
});

describe("Kubernetes", () => {
  const documents: Document[] = parseAllDocuments(read("kubernetes/cliproxy.yaml")).map(
    (document) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    },
  );
  const one = (kind: string): Document => documents.find((d) => d.kind === kind);
  const pod = one("Deployment").spec.template.spec;
  const [container] = pod.containers;

  test("each document has what every object needs, in one namespace", () => {
    for (const { apiVersion, kind, metadata } of documents) {
      expect([typeof apiVersion, typeof kind]).toEqual(["string", "string"]);
      expect(metadata.name).toBe("cliproxy");
      if (kind !== "Namespace") expect(metadata.namespace).toBe("cliproxy");
    }
  });

  /** The restricted standard, control by control. */
  test.each<[string, unknown, unknown]>([
    [
      "host namespaces",
      [pod.hostNetwork, pod.hostPID, pod.hostIPC],
      [undefined, undefined, undefined],
    ],
    ["no host ports", container.ports.some((p: Document) => "hostPort" in p), false],
    ["escalation", container.securityContext.allowPrivilegeEscalation, false],
    ["capabilities", container.securityContext.capabilities, { drop: ["ALL"] }],
    ["non-root", [pod.securityContext.runAsNonRoot, pod.securityContext.runAsUser], [true, 65534]],
    ["seccomp", pod.securityContext.seccompProfile.type, "RuntimeDefault"],
    ["read-only root", container.securityContext.readOnlyRootFilesystem, true],
    ["no token", pod.automountServiceAccountToken, false],
    [
      "kinds of volumes",
      pod.volumes.map((v: Document) => Object.keys(v).filter((key) => key !== "name")[0]),
      ["configMap", "persistentVolumeClaim", "emptyDir"],
    ],
    [
      "enforced",
      one("Namespace").metadata.labels["pod-security.kubernetes.io/enforce"],
      "restricted",
    ],
  ])("restricted: %s", (_what, found, wanted) => {
    expect(found).toEqual(wanted);
  });

  test("labels, ports, volumes and waits fit together", () => {
    const labels = one("Deployment").spec.template.metadata.labels;
    expect(one("Deployment").spec.selector.matchLabels).toEqual(labels);
    expect(one("Service").spec.selector).toEqual(labels);
    expect(one("PodDisruptionBudget").spec.selector.matchLabels).toEqual(labels);
    expect(one("NetworkPolicy").spec.podSelector.matchLabels).toEqual(labels);
    const names = pod.volumes.map((v: Document) => v.name);
    for (const mount of container.volumeMounts) expect(names).toContain(mount.name);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds);
    expect(one("Deployment").spec.strategy.type).toBe("Recreate");
    const probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    for (const probe of probes) expect(container[probe].httpGet.port).toBe("http");
  });

  test("its configuration is one", async () => {
    const file = join(makeDir(), "config.yaml");
    writeFileSync(
      file,
      one("ConfigMap").data["config.yaml"].replaceAll(/\/(auths|logs|state)/g, "./$1"),
    );
    const env = {
      ALICE_KEY: "cpk_test-7Qm2vXz9Kd4Lw8Rb1Tn6Yc3Hs5Jf0Gp",
      ANTHROPIC_API_KEY: "k-1-secret",
    };
    const { code, out, err } = await runBinary(["check", "--config", file], { env });
    expect([code, out, err]).toEqual([0, out, err]);
  });
});

describe("the compose file", () => {
  const { cliproxy }: Document = parse(read("compose.yaml")).services;

  test("has the guide's hardening, and waits for the drain", () => {
    expect(cliproxy).toMatchObject({
      user: "65534:65534",
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true", "seccomp:./seccomp.json"],
    });
    expect(cliproxy.tmpfs[0]).toStartWith("/tmp:noexec,nosuid,nodev,size=100m");
    expect(Number.parseInt(cliproxy.stop_grace_period, 10)).toBeGreaterThan(drainSeconds);
    expect(cliproxy.image).toBe(cliproxy.image.toLowerCase());
    expect(existsSync(join(deploy, "seccomp.json"))).toBe(true);
  });

  test("the image asks for its health as the compose file does, and has the package's version", () => {
    const text = readFileSync(join(root, "Dockerfile.distroless"), "utf8");
    expect(text).toContain(
      `CMD ${JSON.stringify(cliproxy.healthcheck.test.slice(1)).replace(",", ", ")}`,
    );
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(text).toContain(`ARG VERSION=${version}\n`);
  });
});

describe("systemd", () => {
  const unit = join(deploy, "systemd/cliproxy.service");
  const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

  test.if(has("systemd-analyze"))("systemd itself finds its exposure small", () => {
    const words = ["security", "--offline=true", "--threshold=15", "--no-pager", unit];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
    expect([status, stderr], stdout).toEqual([0, ""]);
  });

  test("stops by SIGTERM, waits for the drain, and does not retry a bad configuration", () => {
    const text = read("systemd/cliproxy.service");
    expect(text).toContain("KillSignal=SIGTERM");
    expect(Number(/TimeoutStopSec=(\d+)s/.exec(text)?.[1])).toBeGreaterThan(drainSeconds);
    expect(text).toContain("RestartPreventExitStatus=78");
    expect(text).toContain("LoadCredential=");
  });
});

describe("proxies in front", () => {
  const has = (program: string) =>
    existsSync(`/usr/sbin/${program}`) || existsSync(`/usr/bin/${program}`);

  test.if(has("nginx"))("nginx takes its configuration", () => {
    const dir = makeDir();
    mkdirSync(join(dir, "tls"));
    const [key, crt] = [join(dir, "tls/tls.key"), join(dir, "tls/tls.crt")];
    const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"];
    spawnSync("openssl", [...words, "-keyout", key, "-out", crt, "-days", "1"]);
    const file = join(dir, "nginx.conf");
    writeFileSync(file, read("front/nginx.conf").replaceAll("/etc/cliproxy", dir));
    const asked = spawnSync("nginx", ["-t", "-c", file, "-g", `pid ${dir}/pid;`], {
      encoding: "utf8",
    });
    expect([asked.status, asked.stderr]).toEqual([0, asked.stderr]);
  });

  test.if(has("caddy"))("Caddy takes its configuration", () => {
    const words = ["adapt", "--adapter", "caddyfile", "--config", join(deploy, "front/caddyfile")];
    const { status, stdout, stderr } = spawnSync("caddy", words, { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, stderr]);
    expect(stdout).toContain('"dial":"127.0.0.1:8317"');
  });

  test("both hide the management, throw the client's header away and pass events on", () => {
    const [nginx, caddy] = [read("front/nginx.conf"), read("front/caddyfile")];
    for (const text of [nginx, caddy]) {
      expect(text).toContain('trusted_proxies: ["127.0.0.1"]');
      expect(text).toContain("/v0/");
    }
    expect(nginx).toContain("proxy_set_header X-Forwarded-For $remote_addr;");
    expect(nginx).toContain("proxy_buffering off;");
    expect(caddy).toContain("header_up X-Forwarded-For {remote_host}");
  });

  test.if(has("logrotate"))("logrotate takes its configuration", () => {
    const dir = makeDir();
    const file = join(dir, "cliproxy");
    writeFileSync(file, read("logrotate/cliproxy").replaceAll("/var/log/cliproxy", dir));
    const words = ["--debug", "--state", join(dir, "state"), file];
    const { status, stderr } = spawnSync("logrotate", words, { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, stderr]);
    expect(stderr).not.toContain("error:");
  });
});
