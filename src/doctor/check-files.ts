import type { Finding } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import { type Area, octal, quoted } from "./area.ts";
import { placeFindings, placeKinds } from "./check-places.ts";
import type { Facts } from "./facts.ts";
import type { Role, Seen } from "./file-facts.ts";
import { reachOf } from "./reach.ts";

const steal = "Whoever reads it can use it elsewhere, and nobody notices.";
const kinds = {
  "files-auth-dir-mode": {
    severity: "high",
    title: "the directory of credentials is open to others",
    why: "Others can list the credentials; if they may write, they can put their own in place.",
    mend: "chmod 700 on it",
  },
  "files-credential-mode": {
    severity: "critical",
    title: "a credential is open to others",
    why: `${steal} The provider sends the bill to you.`,
    mend: "chmod 600 on it; if others may have read it, make a new credential",
  },
  "files-key-mode": {
    severity: "critical",
    title: "a key of the house is open to others",
    why: `${steal} With the management key they can change the house, with the audit key its log.`,
    mend: "chmod 600 on it; if others may have read it, delete it: a new one is made at the start",
  },
  "files-secret-mode": {
    severity: "critical",
    title: "a file with a secret is open to others",
    why: `${steal} A group may read it, as a mounted secret needs it, but never write.`,
    mend: "chmod 600 on it; if others may have read it, make a new secret",
  },
  "files-state-mode": {
    severity: "high",
    title: "the state is open to others",
    why: "It tells who used what; whoever may write it can give back quotas and lift a denylist.",
    mend: "chmod 600 on it",
  },
  "files-audit-mode": {
    severity: "medium",
    title: "the audit log is open to others",
    why: "It tells who did what from where. A change of it shows in its chain, a deletion costs it.",
    mend: "chmod 640 on it",
  },
  "files-config-writable": {
    severity: "critical",
    title: "others may change the configuration",
    why: "Whoever changes it can send all traffic, with its credentials, to a server of theirs.",
    mend: "chmod go-w on it",
  },
  "files-config-readable": {
    severity: "critical",
    title: "others may read a configuration that holds secrets",
    why: steal,
    mend: "chmod 600 on it, and move the secrets to variables or to files of their own",
  },
  "files-certificate-writable": {
    severity: "high",
    title: "others may change a certificate",
    why: "A list of authorities decides whose client certificate is believed.",
    mend: "chmod go-w on it",
  },
  "files-policies-writable": {
    severity: "critical",
    title: "others may change a policy",
    why: "Policies are code that runs in this process, which holds every credential.",
    mend: "chmod go-w on it",
  },
  "files-program-writable": {
    severity: "critical",
    title: "others may change the program",
    why: "What they put in its place runs at the next start, with every credential.",
    mend: "chmod go-w on it",
  },
  "files-many": {
    severity: "info",
    title: "there are more files than are looked at",
    why: "Beyond the limit nothing is known of a file.",
    mend: "remove files that nobody needs from auth.dir",
  },
  ...placeKinds,
} as const;
const found = finder(kinds);

type KindId = keyof typeof kinds;

/** Bits that a role must not have, and what to say of it. */
const rules: Readonly<Record<Role, { bits: number; id: KindId; chmod: string }>> = {
  config: { bits: 0o022, id: "files-config-writable", chmod: "chmod go-w" },
  credentials: { bits: 0o077, id: "files-auth-dir-mode", chmod: "chmod 700" },
  credential: { bits: 0o177, id: "files-credential-mode", chmod: "chmod 600" },
  key: { bits: 0o177, id: "files-key-mode", chmod: "chmod 600" },
  // Kubernetes mounts secrets for a group, and certificates are renewed by one.
  secret: { bits: 0o037, id: "files-secret-mode", chmod: "chmod 600" },
  certificate: { bits: 0o022, id: "files-certificate-writable", chmod: "chmod go-w" },
  state: { bits: 0o077, id: "files-state-mode", chmod: "chmod 600" },
  audit: { bits: 0o027, id: "files-audit-mode", chmod: "chmod 640" },
  policies: { bits: 0o022, id: "files-policies-writable", chmod: "chmod go-w" },
  policy: { bits: 0o022, id: "files-policies-writable", chmod: "chmod go-w" },
  program: { bits: 0o022, id: "files-program-writable", chmod: "chmod go-w" },
};

/** Modes, owners, links and parents of all files that matter. */
export const files: Area = {
  name: "files",
  summary: "modes, owners, links and parents of the files that matter",
  kinds,
  check: (facts) => [
    ...facts.files.seen.flatMap((one) => modeFindings(one, facts)),
    ...configReadable(facts),
    ...placeFindings(facts),
    ...(facts.files.isCut ? [found("files-many", "auth.dir")] : []),
  ],
};

function modeFindings(one: Seen, facts: Facts): Finding[] {
  // The mode of a link says nothing; what it leads to is in the list itself.
  if (one.kind === "link") return [];
  const rule = rules[one.role];
  const wrong = one.mode & rule.bits;
  if (wrong === 0) return [];
  return [
    found(rule.id, `${one.path} has mode ${octal(one.mode)}`, {
      severity: severityOf(one, wrong, facts),
      mend: `${rule.chmod} ${quoted(one.path)}`,
    }),
  ];
}

/** What only a directory above keeps from others is one `chmod` away from them. */
function severityOf(one: Seen, wrong: number, { files }: Facts): Finding["severity"] {
  const usual = kinds[rules[one.role].id].severity;
  const reach = reachOf(files, one.path, wrong);
  if (reach === "nobody") return usual === "medium" ? "low" : "medium";
  const isDirectory = one.kind === "directory";
  if (isDirectory && (wrong & 0o002) !== 0 && reach === "others") return "critical";
  if (reach === "others") return usual;
  return usual === "critical" ? "high" : "medium";
}

function configReadable({ config, files }: Facts): Finding[] {
  const holdsSecrets = config.secretsUsed.some(({ from }) => from === "inline");
  if (!holdsSecrets) return [];
  return files.seen
    .filter(({ role, kind, mode }) => role === "config" && kind !== "link" && (mode & 0o044) !== 0)
    .map((one) => {
      const reach = reachOf(files, one.path, one.mode & 0o044);
      const severity = reach === "others" ? "critical" : reach === "group" ? "high" : "low";
      const mend = `chmod 600 ${quoted(one.path)}, and move the secrets out of it`;
      return found("files-config-readable", `${one.path} has mode ${octal(one.mode)}`, {
        severity,
        mend,
      });
    });
}
