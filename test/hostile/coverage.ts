/** A hostile row of the review, and the test that shows its right outcome. */
export interface Covered {
  /** Its number there. */
  readonly row: number;
  readonly what: string;
  /** Below test/, and words of the test's title; or the issue that will hold it. */
  readonly by: readonly [file: string, words: string] | `issue ${number}`;
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

/** The listed rows of the sections on addresses, logins, limits, disks, signals and clocks. */
export const coverage: readonly Covered[] = [
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
  { row: 69, what: "a credential is masked", by: "issue 5" },
  row(71, "deleting twice", edge, "the guide's request: in force when answered"),
  row(72, "sample keys", "binary/auth.test.ts", "a configuration that would open the house"),
  row(75, "denying oneself", edge, "75: the caller's own address only with force"),
  row(103, "the burst, then the rate", limits, "103: of many at once exactly the burst passes"),
  row(106, "Retry-After is true", limits, "106: after exactly Retry-After"),
  row(109, "odd numbers of tokens", "binary/spending.test.ts", "max_tokens %s"),
  row(112, "buckets of two providers", "binary/spending.test.ts", "go to another provider"),
  row(131, "a full disk of the audit log", audit, "required: refuses new traffic"),
  { row: 133, what: "a read-only directory of credentials", by: "issue 5" },
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
