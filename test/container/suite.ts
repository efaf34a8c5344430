/**
 * Run by `npm run test:container`: builds the image, runs it as deploy/compose.yaml says, plays the
 * guide inside, and prints what shows that each setting holds. It needs root, podman, buildah, runc
 * and gcc; Debian has them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp } from "../harness/cleanup.ts";
import { type FakeUpstream, startUpstream } from "../harness/fake-upstream.ts";
import { makeDir, needBinary } from "../harness/proxy.ts";
import { until } from "../harness/wait.ts";
import { type Box, compileStatic, makeVolumes, openBox } from "./box.ts";
import { buildImage, composeService, Engine, type Form, root, runWords } from "./engine.ts";
import { drains, guideRows, remembers } from "./guide-rows.ts";
import { type SeccompProfile, without } from "./seccomp-profile.ts";
import { type Row, settingRows } from "./setting-rows.ts";

const forms: readonly Form[] = ["base", "static"];
const profiles: Readonly<Record<Form, string>> = {
  base: join(root, "deploy/seccomp.json"),
  static: join(root, "deploy/seccomp-static.json"),
};

let engine: Engine;
let upstream: FakeUpstream;
const images = new Map<Form, string>();
const evidence: string[][] = [];

beforeAll(async () => {
  needBinary();
  engine = new Engine();
  upstream = await startUpstream();
  for (const form of forms) images.set(form, buildImage(engine, form));
}, 300_000);
afterAll(async () => {
  await cleanUp();
  console.log(["", "| setting | evidence |", "|---|---|"].join("\n"));
  for (const cells of evidence) console.log(`| ${cells.join(" | ")} |`);
}, 60_000);

function imageOf(form: Form): string {
  return images.get(form) ?? "";
}

/** The same is shown in each run; the table has the first. */
async function note({ setting, prove }: Row, box: Box): Promise<void> {
  const seen = await prove(box);
  if (!evidence.some(([first]) => first === setting)) evidence.push([setting, seen]);
}

describe.each(forms)("the %s image", (form) => {
  test.each(["256m", "1g"])(
    "plays the guide within %s",
    async (memory) => {
      const name = `cliproxy-${form}-${memory}`;
      const options = { image: imageOf(form), name, memory, profile: profiles[form] };
      const box = await openBox(engine, upstream, options);
      for (const row of [...settingRows, ...guideRows]) {
        try {
          await note(row, box);
        } catch (error) {
          throw new Error(`${row.setting}: ${error}\n${box.proxy.stderr()}`, { cause: error });
        }
      }
      await note({ setting: "SIGTERM drains", prove: drains }, box);
      const again = await openBox(engine, upstream, {
        ...options,
        name: `${name}-2`,
        reuse: box.dir,
      });
      await note({ setting: "state and audit live on", prove: remembers }, again);
      await again.proxy.stop();
    },
    120_000,
  );

  test("serves as the image says by itself, and is found healthy", async () => {
    const dir = makeDir();
    makeVolumes(dir);
    writeFileSync(join(dir, "config.yaml"), "server: { port: 8317 }\n");
    const name = `cliproxy-${form}-alone`;
    const profile = profiles[form];
    const options = { image: imageOf(form), name, dir, profile, network: "none" } as const;
    const words = runWords(engine, options);
    const started = Bun.spawn(words, { stdout: "pipe", stderr: "pipe" });
    const [, ...check] = composeService().healthcheck.test;
    await until("health", () => engine.ask("exec", name, ...check).status === 0, 15_000);
    const health = engine.ask("inspect", imageOf(form), "--format", "{{.HealthCheck.Test}}");
    expect(health.stdout.trim()).toBe(`[CMD ${check.join(" ")}]`);
    expect(engine.ask("stop", "--time", "10", name).status).toBe(0);
    expect(await started.exited).toBe(0);
  }, 60_000);

  test("closes the ways out", () => {
    const dir = makeDir();
    makeVolumes(dir);
    writeFileSync(join(dir, "config.yaml"), "{}\n");
    const probe = join(dir, "escape");
    compileStatic(join(root, "test/container/escape.c"), probe);
    const words = runWords(engine, {
      image: imageOf(form),
      name: `cliproxy-${form}-escape`,
      dir,
      profile: profiles[form],
      network: "none",
      entrypoint: "/escape",
      volumes: [`${probe}:/escape:ro`],
    });
    const ran = Bun.spawnSync(words);
    const lines = ran.stdout.toString().trim().split("\n");
    expect([ran.exitCode, lines.length], ran.stderr.toString()).toEqual([0, 25]);
    const ways = lines.map((line) => line.split("\t"));
    // What the launcher of the static form needs itself; the other profile has no such call.
    const open = form === "static" ? ["run code from memory"] : [];
    expect(ways.flatMap(([way, said]) => (said === "open" ? [way] : []))).toEqual(open);
    if (form === "base") {
      for (const [way = "", said = ""] of ways) evidence.push([`way out: ${way}`, `\`${said}\``]);
    }
  });
});

test.each(["futex", "epoll_create1", "mmap", "openat", "listen"])(
  "without %s in the profile it does not start",
  (name) => {
    const dir = makeDir();
    makeVolumes(dir);
    writeFileSync(join(dir, "config.yaml"), "{}\n");
    const profile = join(dir, "seccomp.json");
    const full = JSON.parse(readFileSync(profiles.base, "utf8")) as SeccompProfile;
    writeFileSync(profile, JSON.stringify(without(full, name)));
    const container = `cliproxy-without-${name.replaceAll("_", "-")}`;
    const options = { image: imageOf("base"), name: container, dir, profile } as const;
    const words = runWords(engine, { ...options, network: "none" });
    const ran = Bun.spawnSync(["timeout", "--signal=KILL", "5", ...words]);
    engine.ask("rm", "--force", container);
    expect(ran.stdout.toString()).not.toContain("cliproxy listens");
  },
);
