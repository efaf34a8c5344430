import { describe, expect, test } from "bun:test";
import { ConfigFileError, findConfigFile } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problems.ts";
import { Secret } from "../../src/kit/secret.ts";
import { filesOf, load, problemsOf, valuesOf } from "./claimants.ts";

describe("loadConfig gives every claimant its part", () => {
  test.each([
    ["an empty file", ""],
    ["white space", " \n\n"],
    ["comments", "# server:\n#   port: 1\n"],
    ["an empty section", "server:\nproviders:\n  claude:\n"],
    ["a null document", "~"],
  ])("%s means the defaults", (_case, text) => {
    const values = valuesOf(load(text));
    expect(values.server).toEqual({ host: "127.0.0.1", port: 8317, drain: 25_000 });
    expect(values["rate-limit"]).toEqual({});
    expect(values["provider-limits"]).toEqual({});
    expect(values.auth).toEqual({ keys: [] });
  });

  test("`*` becomes a record by name or by id, and the owner of a list does not see it", () => {
    const text = `
providers:
  claude: { api_key: sk-1, rate_limit: { rpm: 1 } }
  openai: { rate_limit: { rpm: 2 } }
  gemini: {}
auth:
  api_keys:
    - { id: alice, key: aaaa, rate_limit: { rpm: 3 } }
    - { id: bob, key: bbbb }
`;
    const values = valuesOf(load(text));
    expect(values["provider-limits"]).toEqual({
      limits: { claude: { rpm: 1 }, openai: { rpm: 2 } },
      keyLimits: { alice: { rpm: 3 } },
    });
    expect(values.auth?.keys).toEqual([
      { id: "alice", key: expect.any(Secret) },
      { id: "bob", key: expect.any(Secret) },
    ]);
    expect(Object.keys(values.providers?.apiKey ?? {})).toEqual(["claude"]);
  });

  test("names and places can be asked for", () => {
    const loaded = load("providers:\n  a.b:\n    api_key: x\n  claude:\nauth:\n  api_keys: []\n");
    if (!loaded.ok) throw new Error("must load");
    expect(loaded.childrenOf("providers")).toEqual(["a.b", "claude"]);
    expect(loaded.childrenOf("nothing.there")).toEqual([]);
    const place = (path: string) => {
      const { line, column, path: told } = loaded.problemAt(path, "message", "mend");
      return [line, column, told];
    };
    expect(place("providers.a.b.api_key")).toEqual([3, 14, "providers.a.b.api_key"]);
    expect(place("providers.claude.base_url")).toEqual([4, 3, "providers.claude.base_url"]);
    expect(place("metrics.port")).toEqual([1, 1, "metrics.port"]);
  });
});

const key = "auth:\n  api_keys:\n    - { id: a, key: aaaa";
const wrong: [text: string, ...problems: string[]][] = [
  ["servr: {}", "1:1 servr unknown key `servr`; did you mean `server`?"],
  ["server: { Port: 1 }", "1:11 server.Port unknown key `Port`; did you mean `port`?"],
  [
    "server:\n  rate-limit: {}",
    "2:3 server.rate-limit unknown key `rate-limit`; did you mean `rate_limit`?",
  ],
  [
    "server:\n  drian_timeout: 1s",
    "2:3 server.drian_timeout unknown key `drian_timeout`; did you mean `drain_timeout`?",
  ],
  [
    "server:\n  rate_limit: { enabled: true, brust: 3 }",
    "2:3 server.rate_limit.burst `burst` is missing",
    "2:32 server.rate_limit.brust unknown key `brust`; did you mean `burst`?",
  ],
  ["burst: 3", "1:1 burst unknown key `burst`; it exists at server.rate_limit.burst"],
  [
    "policies: { geo-fence: { x: 1 }, other: {} }",
    "1:26 policies.geo-fence.x unknown key `x`",
    "1:34 policies.other unknown key `other`",
  ],
  [
    `${key}, rate_limits: 5, usr_id: x } `,
    "3:27 auth.api_keys.0.rate_limits unknown key `rate_limits`; did you mean `rate_limit`?",
    "3:43 auth.api_keys.0.usr_id unknown key `usr_id`; did you mean `user_id`?",
  ],
  [
    "providers: { claude: { api_key_fil: x } }",
    "1:24 providers.claude.api_key_fil unknown key `api_key_fil`; did you mean `api_key_file`?",
  ],
  ["server: 5", "1:9 server must be a map, but is a number"],
  ["server: [a]", "1:10 server.0 must be a map with a usable `id`"],
  ["server: { port: 80a }", "1:17 server.port must be a port, but is `80a`"],
  ["server: { port: 65536 }", "1:17 server.port must be a port, but is `65536`"],
  ["server: { port: }", "1:17 server.port must be a port, but is nothing"],
  ["server: { host: 5 }", "1:17 server.host must be text, but is `5`"],
  ["server: { drain_timeout: 30 }", "1:26 server.drain_timeout needs a unit"],
  ["server: { drain_timeout: 30d }", "1:26 server.drain_timeout must be between 0ms and 24d"],
  ["server: { drain_timeout: 5x }", "1:26 server.drain_timeout is not a duration"],
  [
    "server: { rate_limit: { enabled: yes, burst: 0, body: 1XB, level: hihg } }",
    "1:34 server.rate_limit.enabled must be true or false, but is `yes`",
    "1:46 server.rate_limit.burst must be at least 1, but is `0`",
    "1:55 server.rate_limit.body is not a size",
    "1:67 server.rate_limit.level must be one of low, high, but is `hihg`",
  ],
  [
    "providers: { x: { models: [a, { name: b }, 5, { nam: x }] } }",
    "1:31 providers.x.models.1.upstream `upstream` is missing",
    "1:44 providers.x.models.2 must be text or a map, but is `5`",
    "1:47 providers.x.models.3.upstream `upstream` is missing",
    "1:47 providers.x.models.3.name `name` is missing",
    "1:49 providers.x.models.3.nam unknown key `nam`; did you mean `name`?",
  ],
  ["auth: { api_keys: {} }", "1:9 auth.api_keys must be a list, but is a map"],
  ["auth: { api_keys: [{ id: a }] }", "1:20 auth.api_keys.0.key `key` is missing"],
  ["auth: { api_keys: [{ id: a, key: abc }] }", "1:34 auth.api_keys.0.key is too short"],
  ["auth: { api_keys: [{ id: a, key: 1234 }] }", "1:34 auth.api_keys.0.key must be text"],
  [
    `${key}, rate_limit: {rpm: 1} }\n    - { id: a, key: bbbb, rate_limit: {rpm: 1} }`,
    "4:7 auth.api_keys.1 another entry has the same `id`",
  ],
];
describe("loadConfig says what is wrong, where, and how to mend it", () => {
  test.each(wrong)("%s", (text, ...problems) => {
    const loaded = load(text);
    expect(problemsOf(loaded).sort()).toEqual(problems.sort());
    if (loaded.ok) throw new Error("must not load");
    for (const { mend } of loaded.problems) expect(mend).not.toBe("");
  });

  test("all at once, in the order of the file", () => {
    const text = "zzz: 1\nserver:\n  port: x\n  host: ${NO_SUCH}\npolicies: { a: 1 }\n";
    const lines = problemsOf(load(text)).map((p) => Number.parseInt(p, 10));
    expect(lines).toEqual([1, 3, 4, 5]);
  });
});

describe("a secret is never shown", () => {
  const leak = "sk-ant-hush-0123456789";
  test.each([
    ["in an unknown key", `providers: { claude: { api_kye: ${leak} } }`],
    ["beside a mistake", `auth: { api_keys: [{ id: a, key: ${leak}, x: 1 }] } # old: ${leak}`],
    ["of the wrong type", `providers: { claude: { api_key: [${leak}] } }`],
    ["in a path that is none", `providers:\n  claude: { api_key_file: ${leak} }`],
    ["in broken YAML", `providers:\n  claude: { api_key: "${leak} }`],
    ["before a second colon", `providers:\n  claude:\n    api_key: ${leak}: ${leak}`],
    ["in a block of text", `providers:\n  claude:\n    api_kye: |\n      ${leak}\n      ${leak}`],
    ["from a variable", "server: { port: ${LEAK}, host: [$LEAK] }".replace("{LEAK}", '"{LEAK}"')],
    ["as a variable of the wrong type", 'server: { port: "${LEAK}" }'],
    ["as a choice", "server:\n  rate_limit:\n    level: ${LEAK}\n    enabled: ${LEAK}"],
    ["in a default", `server: { port: "\${NONE:-${leak}}" }`],
    ["as an alias", `server: { port: &x ${leak} }\nauth: { encryption: { key: *x } }`],
  ])("%s", (_case, text) => {
    const loaded = load(text, { LEAK: leak });
    if (loaded.ok) throw new Error("must not load");
    expect(loaded.problems.length).toBeGreaterThan(0);
    const told = formatProblems(loaded.problems, { color: true }) + JSON.stringify(loaded.problems);
    expect(told).not.toContain("hush");
  });
});

describe("a secret in the wrong place is never shown, though nothing marks it as one", () => {
  const random = "q7Xv2Kd9Lw4Rb8Tn1Yc6Hs3";
  const phrase = "correct horse battery staple";
  const places = (it: string): [string, string][] => [
    ["where a list belongs", `auth: { api_keys: ${it} }`],
    ["where a list of a record belongs", `providers: { x: { models: ${it} } }`],
    ["where a map belongs", `server: ${it}`],
    ["where a map of a record belongs", `providers: { x: { rate_limit: ${it} } }`],
    ["as an item that should be a map", `auth: { api_keys: [${it}] }`],
    ["as a number", `providers: { x: { rate_limit: { rpm: ${it} } } }`],
    ["as a port", `server: { port: ${it} }`],
    ["as a switch", `server: { rate_limit: { burst: 1, enabled: ${it} } }`],
    ["as a choice", `server: { rate_limit: { burst: 1, enabled: true, level: ${it} } }`],
    ["as a duration", `server: { drain_timeout: ${it} }`],
    ["below a text", `server: { host: [${it}] }`],
    ["under an unknown key", `server: { hsot: ${it} }`],
  ];
  const told = (text: string): string => {
    const loaded = load(text);
    if (loaded.ok) throw new Error("must not load");
    return formatProblems(loaded.problems, { color: false }) + JSON.stringify(loaded.problems);
  };
  test.each([...places(random), ...places(phrase)])("%s: %s", (_place, text) => {
    expect(told(text)).not.toMatch(/q7Xv|horse/);
  });
  test.each([
    ["as an unknown key", `server: { ${random}: 1 }`],
    ["as a name above a mistake", `providers: { ${random}: { rate_limit: { rpm: 0 } } }`],
    ["as a valid text beside a mistake", `server: { host: ${random}, port: x }`],
    ["as a key of broken YAML", `${random}: "x`],
  ])("random: %s", (_place, text) => {
    expect(told(text)).not.toContain("q7Xv");
  });
  test("what is wrong, and the kind of what is there, are still told", () => {
    expect(problemsOf(load(`auth: { api_keys: ${random} }`))).toEqual([
      "1:19 auth.api_keys must be a list, but is text",
    ]);
  });
});

describe("files that hold secrets", () => {
  const files = filesOf({ "/s/key": "from-file\n", "/s/two": "a\n\n", "/s/empty": "\n" });
  const read = (text: string) => load(text, {}, files);
  test("stand in for every secret, claimed or nested, and lose one newline", () => {
    const text = `
providers: { claude: { api_key_file: /s/key } }
auth:
  api_keys: [{ id: a, key_file: /s/key }]
  encryption: { key_file: /s/key }
`;
    const loaded = read(text);
    const values = valuesOf(loaded);
    const secrets = [
      (values.providers?.apiKey as { claude: Secret } | undefined)?.claude,
      (values.auth?.keys as { key: Secret }[] | undefined)?.[0]?.key,
      values.auth?.key as Secret | undefined,
    ];
    expect(secrets.map((s) => s?.expose())).toEqual(["from-file", "from-file", "from-file"]);
    if (!loaded.ok) throw new Error("must load");
    expect(loaded.secretsUsed).toContainEqual({
      path: "providers.claude.api_key_file",
      from: "file",
      name: "/s/key",
    });
  });

  const at = "providers.claude";
  test.each([
    ["{ api_key_file: /s/none }", `1:38 ${at}.api_key_file /s/none does not exist`],
    ["{ api_key_file: /s/empty }", `1:38 ${at}.api_key_file /s/empty is empty`],
    [
      "{ api_key: x, api_key_file: /s/key }",
      `1:36 ${at}.api_key_file \`api_key\` and \`api_key_file\` are both given`,
    ],
    ["{ api_key_file: 5 }", `1:38 ${at}.api_key_file must be the path of a file`],
    ["{ models_file: /s/key }", `1:24 ${at}.models_file unknown key \`models_file\``],
  ])("%s", (text, problem) => {
    expect(problemsOf(read(`providers: { claude: ${text} }`))[0]?.split(";")[0]).toBe(problem);
  });

  test("that are unreadable are told with owner, mode and reader", () => {
    const loaded = load(
      "auth: { encryption: { key_file: /s/key } }",
      {},
      {
        readFile() {
          throw Object.assign(new Error("no"), { code: "EACCES" });
        },
        stat: () => ({ uid: 1000, mode: 0o100600 }),
        uid: () => 65534,
      },
    );
    expect(problemsOf(loaded)).toEqual([
      "1:33 auth.encryption.key_file /s/key can't be read: owner 1000, mode 0600, read as uid 65534, EACCES",
    ]);
    expect(!loaded.ok && loaded.problems[0]?.mend).toStartWith("chown 65534 /s/key");
  });

  test.each([
    [0o640, 0],
    [0o400, 0],
    [0o644, 1],
    [0o660, 1],
  ])("of mode %o give %d warnings", (mode, count) => {
    const text = "auth: { encryption: { key_file: /s/key } }";
    const loaded = load(text, {}, filesOf({ "/s/key": "x" }, mode));
    expect(loaded.ok && loaded.warnings.length).toBe(count);
  });

  test("that are devices or directories are refused without reading", () => {
    for (const path of ["/dev/zero", "/tmp"]) {
      const problems = problemsOf(load(`auth: { encryption: { key_file: ${path} } }`));
      expect(problems).toEqual([`1:33 auth.encryption.key_file ${path} is not a regular file`]);
    }
  });
});

describe("findConfigFile", () => {
  const on =
    (...paths: string[]) =>
    (path: string) =>
      paths.includes(path);
  test.each([
    ["--config wins", "a", { CLIPROXY_CONFIG: "b" }, on("a", "b", "./config.yaml"), "a"],
    ["then the variable", undefined, { CLIPROXY_CONFIG: "b" }, on("b", "./config.yaml"), "b"],
    ["an empty one is unset", undefined, { CLIPROXY_CONFIG: "" }, on(), undefined],
    ["then here", undefined, {}, on("./config.yaml", "/config/config.yaml"), "./config.yaml"],
    ["then the container's", undefined, {}, on("/config/config.yaml"), "/config/config.yaml"],
    ["else none", undefined, {}, on(), undefined],
  ])("%s", (_case, explicit, env, exists, expected) => {
    expect(findConfigFile(explicit, env, exists)).toBe(expected);
  });
  test.each([
    ["a", {}],
    ["", {}],
    [undefined, { CLIPROXY_CONFIG: "b" }],
  ])("what was asked for must exist: %p %p", (explicit, env) => {
    expect(() => findConfigFile(explicit, env, on("./config.yaml"))).toThrow(ConfigFileError);
  });
});
