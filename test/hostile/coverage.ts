/** A hostile row of the review, and the test that shows its right outcome. */
export interface Covered {
  /** Its number there. */
  readonly row: number;
  readonly what: string;
  /** Below test/, and words of the test's title. */
  readonly by: readonly [file: string, words: string];
}

function row(number: number, what: string, ...[file, words]: readonly [string, string]): Covered {
  return { row: number, what, by: [file, words] };
}

const addresses = "binary/edge-addresses.test.ts";
const limits = "binary/edge-limits.test.ts";
const edge = "binary/edge-management.test.ts";
const management = "binary/management.test.ts";
const audit = "binary/audit.test.ts";
const lifecycle = "binary/lifecycle.test.ts";

const tls = "binary/tls.test.ts";
const suites = "binary/tls-suites.test.ts";
const recipes = "binary/vault-recipes.test.ts";
const rows = "binary/config-rows.test.ts";
const scripts = "binary/scripts.test.ts";

/** The listed rows, but for those on what is parsed, smuggled, and broken at either side. */
export const coverage: readonly Covered[] = [
  row(33, "TLS 1.0 and 1.1", tls, "TLS 1.2 and 1.3, good suites, and nothing else"),
  row(34, "static RSA and CBC", suites, "no list, %s: the good ones, and no other"),
  row(37, "an unknown suite", tls, "an unknown suite"),
  row(38, "min_version 1.1 and 1.3", suites, "min_version 1.3: a client of 1.2 is refused"),
  row(39, "a key of another certificate", tls, "another key"),
  row(42, "plain HTTP on the port of TLS", suites, "plain HTTP, noise and half a hello"),
  row(44, "a key that all may read", tls, "a key for all"),
  row(47, "a forged forwarding header", addresses, "47: forged by an untrusted peer"),
  row(48, "the nearest hop is judged", addresses, "48: the nearest is judged"),
  row(51, "mapped forms of a denied address", addresses, "51: a mapped form of a denied one"),
  row(54, "odd spellings in the configuration", "kit/ip-range.test.ts", "refuses %j: %s"),
  row(56, "in both lists", addresses, "56: the denylist wins"),
  row(58, "Forwarded of RFC 7239", addresses, "58: Forwarded: %s"),
  row(61, "no, empty and other schemes", "binary/auth.test.ts", "authorization, lower case"),
  row(63, "a token of 10 KB", "policies/management-auth.test.ts", "10 KB"),
  row(65, "a lockout, and its neighbours", "binary/auth.test.ts", "slow failures down"),
  row(67, "a rebound name", management, "a rebound name"),
  row(69, "a credential is masked", "binary/auths.test.ts", "nothing is shown"),
  row(71, "deleting twice", edge, "the guide's request: in force when answered"),
  row(72, "sample keys", "binary/auth.test.ts", "a configuration that would open the house"),
  row(75, "denying oneself", edge, "75: the caller's own address only with force"),
  row(103, "the burst, then the rate", limits, "103: of many at once exactly the burst passes"),
  row(106, "Retry-After is true", limits, "106: after exactly Retry-After"),
  row(109, "odd numbers of tokens", "binary/spending.test.ts", "max_tokens %s"),
  row(112, "buckets of two providers", "binary/spending.test.ts", "go to another provider"),
  row(113, "each recipe for a key", recipes, "and alone opens what it has encrypted"),
  row(115, "both spellings of the variable", recipes, "two spellings that differ"),
  row(116, "an unset variable of the key", recipes, "an unset variable"),
  row(117, "a wrong key", "binary/vault-places.test.ts", "a wrong key: refused with the key's id"),
  row(122, "YAML that is not ours", rows, "a bomb of anchors"),
  row(124, "rates that admit none or all", rows, "a rate without an end"),
  row(126, "a policy that throws", "pipeline.test.ts", '"throws"'),
  row(127, "a policy that hangs", scripts, "hang"),
  row(131, "a full disk of the audit log", audit, "required: refuses new traffic"),
  row(133, "a read-only directory", "binary/vault-places.test.ts", "read only: it serves"),
  row(134, "files that others may read", "binary/start.test.ts", "%s of mode %o: warned of %p"),
  row(139, "SIGTERM and a stream", lifecycle, "%s: a running stream finishes"),
  row(141, "a second signal", audit, "a second signal ends it at once"),
  row(142, "SIGHUP and a stream", lifecycle, "by SIGHUP, and a running stream is not harmed"),
  row(146, "maintenance on and off", edge, "146: on and off, with health"),
  row(
    149,
    "a clock that steps back",
    "policies/audit/writer.test.ts",
    "numbers rise and times are UTC",
  ),
  row(
    150,
    "many made-up addresses",
    "policies/metrics/top-addresses.test.ts",
    "5,000 made-up ones",
  ),
  row(152, "no secret in any output", "binary/canary.test.ts", "no secret that was planted"),
];
