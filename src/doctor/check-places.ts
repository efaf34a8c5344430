import { dirname, sep } from "node:path";
import type { Finding, FindingKind } from "../contract/finding.ts";
import { finder } from "../kit/finding.ts";
import { octal, quoted } from "./area.ts";
import type { Facts } from "./facts.ts";
import type { FileFacts, Role, Seen } from "./file-facts.ts";
import { reachOf } from "./reach.ts";

/** What may be wrong with where a file is, whoever may read it. */
export const placeKinds = {
  "files-owner": {
    severity: "high",
    title: "a file belongs to somebody else",
    why: "Its owner can read and change it, whatever its mode says.",
    mend: "chown it to the user that the proxy runs as",
  },
  "files-parent-writable": {
    severity: "critical",
    title: "others may replace a directory or a file",
    why: "Whoever may write a directory can rename what is in it and put something else there.",
    mend: "chmod go-w on the directory, or move the files elsewhere",
  },
  "files-parent-owner": {
    severity: "medium",
    title: "a directory above belongs to somebody else",
    why: "Its owner can rename what is in it and put something else there.",
    mend: "chown it to root or to the user that the proxy runs as, or move the files elsewhere",
  },
  "files-link": {
    severity: "high",
    title: "a link leads out of the directory of credentials",
    why: "Its target has owners and modes of its own, and may be changed without a trace here.",
    mend: "put the file itself there",
  },
  "files-link-broken": {
    severity: "medium",
    title: "a link leads nowhere",
    why: "Whoever can make its target decides what the proxy reads.",
    mend: "remove it, or make its target",
  },
  "files-odd": {
    severity: "medium",
    title: "there is something else than a file",
    why: "Pipes, sockets and devices have no place among credentials, and may block a reader.",
    mend: "remove it",
  },
  "files-stray": {
    severity: "low",
    title: "a copy of a credential is left over",
    why: "Copies of editors and backups live on when the credential itself is replaced.",
    mend: "remove it",
  },
  "files-unreadable": {
    severity: "high",
    title: "the proxy may not look into a path",
    why: "What it can't read it can't use, and a start may fail for it.",
    mend: "chown it to the user that the proxy runs as",
  },
  "files-tracked-by-git": {
    severity: "critical",
    title: "a repository of git keeps a file with secrets",
    why: "Everybody who can clone it has the secret, and it stays in the history for ever.",
    mend: "git rm --cached on it, name it in .gitignore, and make new secrets",
  },
} as const satisfies Readonly<Record<string, FindingKind>>;

const found = finder(placeKinds);

const secretRoles: ReadonlySet<Role> = new Set(["credential", "key", "secret"]);
/** Their owner is often who deploys, and they hold no secret of a provider. */
const publicRoles: ReadonlySet<Role> = new Set(["config", "certificate", "program"]);

/** Owners, links, parents, leftovers and repositories. */
export function placeFindings({ files, config }: Facts): Finding[] {
  const holdsSecrets = config.secretsUsed.some(({ from }) => from === "inline");
  return [
    ...files.seen.flatMap((one) => [...ownerFindings(one, files), ...oddFindings(one, files)]),
    ...parentFindings(files),
    ...files.unreadable.map(({ path, error }) => {
      const mend = `chown ${files.uid} ${quoted(path)}`;
      return found("files-unreadable", `${path}: ${error}, as uid ${files.uid}`, { mend });
    }),
    ...files.seen
      .filter(({ path }) => files.tracked.includes(path))
      .filter(({ role }) => secretRoles.has(role) || (role === "config" && holdsSecrets))
      .map(({ path }) => found("files-tracked-by-git", path)),
  ];
}

function isForeign(uid: number, files: FileFacts): boolean {
  return files.uid >= 0 && uid !== files.uid && uid !== 0;
}

function ownerFindings({ path, role, uid, kind }: Seen, files: FileFacts): Finding[] {
  if (!isForeign(uid, files) || kind === "link") return [];
  return [
    found("files-owner", `${path} belongs to uid ${uid}; this runs as uid ${files.uid}`, {
      mend: `chown ${files.uid} ${quoted(path)}`,
      ...(publicRoles.has(role) && { severity: "low" }),
    }),
  ];
}

function oddFindings(one: Seen, files: FileFacts): Finding[] {
  const { path, role, kind, target } = one;
  const inside = files.seen.find(
    (dir) => dir.role === "credentials" && path.startsWith(dir.path + sep),
  );
  if (kind === "link" && target === undefined) return [found("files-link-broken", path)];
  if (inside === undefined) return [];
  if (kind === "link") {
    // Kubernetes mounts secrets as links within the directory.
    if (target?.startsWith(inside.path + sep)) return [];
    return [found("files-link", `${path} leads to ${target}`)];
  }
  if (kind === "other") return [found("files-odd", path, { mend: `rm ${quoted(path)}` })];
  const isCopy = /(?:~|\.bak|\.old|\.orig|\.save|\.swp|\.tmp)$|\.json\.\w+$/i.test(path);
  if (role !== "credential" || !isCopy) return [];
  return [found("files-stray", path, { mend: `rm ${quoted(path)}` })];
}

function parentFindings(files: FileFacts): Finding[] {
  return [...files.above].flatMap(([dir, { mode, uid, gid }]) => {
    const isSticky = (mode & 0o1000) !== 0;
    const held = files.seen.find(({ path }) => dirname(path) === dir)?.path;
    const what = held === undefined ? "" : `, and holds ${held}`;
    const evidence = `${dir} has mode ${octal(mode)}, owner ${uid}:${gid}${what}`;
    const mend = `chmod go-w ${quoted(dir)}`;
    // Told as the directory of credentials already.
    if (files.seen.some(({ path, role }) => path === dir && role === "credentials")) return [];
    if (!isSticky && (mode & 0o002) !== 0) {
      const isOpen = reachOf(files, dir, mode & 0o002) === "others";
      const severity = isOpen ? "critical" : "medium";
      return [found("files-parent-writable", evidence, { mend, severity })];
    }
    if (isForeign(uid, files)) return [found("files-parent-owner", evidence)];
    const isOwnGroup = gid === 0 || gid === files.gid;
    if (isSticky || (mode & 0o020) === 0 || isOwnGroup) return [];
    return [found("files-parent-writable", evidence, { mend, severity: "medium" })];
  });
}
