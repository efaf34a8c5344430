import { expect } from "bun:test";
import { join } from "node:path";
import { clientKey, makeDir } from "../harness/proxy.ts";
import { callFrom, statusFrom } from "./asking.ts";
import { type ProblemProof, start } from "./problem-proof.ts";
import type { Yaml } from "./prove.ts";

const tight = { enabled: true, requests_per_second: 0.01, burst: 1 };
const limited = (more: Yaml = {}, security: Yaml = {}): Yaml => ({
  server: { security: { rate_limiting: { ...tight, ...more }, ...security } },
});

/** Three calls, each of which a busy office might send: the first passes, the others as told. */
async function threeCalls(config: Yaml, others: 200 | 429): Promise<string> {
  const proxy = await start(config);
  const ip = "203.0.113.1";
  expect(await statusFrom(proxy, ip)).toBe(200);
  expect(await statusFrom(proxy, ip)).toBe(others);
  const last = await callFrom(proxy, ip);
  expect(last.status).toBe(others);
  const text = await last.text();
  await proxy.stop();
  return text;
}

/** A limit that is too tight names itself, and its key in the configuration mends it. */
function tooStrict(solution: number, mended: Yaml): ProblemProof {
  return {
    symptom: "Legitimate requests blocked",
    solution,
    async prove() {
      const told = await threeCalls(limited(), 429);
      expect(JSON.parse(told).error.message).toContain("server.security.rate_limiting");
      await threeCalls(mended, 200);
    },
  };
}

const trusted = {
  ip_allowlist: { enabled: true, allowed_ips: ["203.0.113.0/24"], deny_all: false },
};

export const limitProblems: readonly ProblemProof[] = [
  tooStrict(1, limited({ requests_per_second: 1000, burst: 3 })),
  tooStrict(2, limited({ burst: 20 })),
  tooStrict(3, limited({}, trusted)),
  {
    symptom: "Legitimate requests blocked",
    solution: 4,
    async prove() {
      // Two users behind one address: each has a limit of its own.
      const other = "cpk_test-Zq4Rb8Wn2Lx6Vt0Ky5Mj9Hs3Dg7Fp1Cc";
      const statuses = async (more: Yaml): Promise<number[]> => {
        const dir = makeDir();
        const proxy = await start({ ...limited(more), auth: usersOf(dir, other) });
        const replies = [await callFrom(proxy, "203.0.113.1")];
        replies.push(await callFrom(proxy, "203.0.113.1", other));
        for (const reply of replies) await reply.text();
        await proxy.stop();
        return replies.map(({ status }) => status);
      };
      expect(await statuses({ per_ip: true })).toEqual([200, 429]);
      expect(await statuses({ per_user: true })).toEqual([200, 200]);
    },
  },
];

function usersOf(dir: string, other: string): Yaml {
  const api_keys = [
    { id: "one", key: clientKey },
    { id: "two", key: other },
  ];
  return { dir: join(dir, "auths"), api_keys };
}
