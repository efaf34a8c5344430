import { authsCommands } from "./auths/commands.ts";
import type { Command, OptionSpec } from "./command.ts";

const listen: Readonly<Record<string, OptionSpec>> = {
  host: {
    type: "string",
    value: "ADDRESS",
    summary: "address to listen on, instead of server.host",
    check: (value) => (value.trim() === "" ? "is no address" : undefined),
  },
  port: {
    type: "string",
    value: "PORT",
    summary: "port to listen on, 0 to 65535, instead of server.port; 0 takes a free one",
    check: (value) =>
      /^\d{1,5}$/.test(value) && Number(value) <= 65535 ? undefined : "is no port",
  },
};

/** As `src/doctor/areas.ts` has them: to import that here would slow every start. */
const doctorAreas = [
  ...["config", "files", "secrets", "keys", "exposure"],
  ...["limits", "machine", "container", "policies", "checklist"],
];

/** Every command of the program; help, parsing and completions read this table. */
export const commands: readonly Command[] = [
  {
    name: "serve",
    summary: "serve clients until a signal ends it",
    details:
      "SIGTERM and SIGINT let running requests finish, a second one ends at once; SIGHUP and a " +
      "changed file reload the configuration. A bad configuration is refused before anything listens.",
    options: {
      ...listen,
      strict: {
        type: "boolean",
        summary: "refuse to start, and to reload, while doctor has a critical finding",
      },
    },
    examples: ["cliproxy serve", "cliproxy serve --config /etc/cliproxy.yaml --port 8080"],
    load: () => import("./serve.ts"),
  },
  {
    name: "check",
    summary: "check the configuration, and start nothing",
    options: {},
    examples: ["cliproxy check --config config.yaml"],
    load: () => import("./check.ts"),
  },
  {
    name: "doctor",
    summary: "look for what is not as secure as it should be",
    details:
      "Looks at the configuration, files, keys, listeners, limits and the machine, and changes " +
      "nothing. Each finding says what was seen and how to mend it. Give --host where serve gets it.",
    options: {
      ...listen,
      "fail-on": {
        type: "string",
        value: "SEVERITY",
        values: ["critical", "high", "medium", "low"],
        summary: "exit with 1 if a finding is as bad as this or worse; high when not given",
      },
      only: {
        type: "string",
        value: "AREA",
        values: doctorAreas,
        multiple: true,
        summary: "look at this area only; may be given more than once",
      },
      explain: {
        type: "string",
        value: "ID",
        summary: "say what a finding means, and look at nothing",
      },
    },
    examples: [
      "cliproxy doctor --config config.yaml",
      "cliproxy doctor --host 0.0.0.0 --fail-on medium --json",
      "cliproxy doctor --explain files-key-mode",
    ],
    load: () => import("./doctor.ts"),
  },
  {
    name: "healthcheck",
    summary: "ask a running proxy whether it is alive",
    details:
      "The address is --url, else $CLIPROXY_HEALTH_URL, else the listener of the configuration, " +
      "else http://127.0.0.1:8317. It waits 2 seconds at most, and needs no curl in a container.",
    options: {
      url: {
        type: "string",
        value: "URL",
        summary: "http(s) address of the proxy, or of one of its health endpoints",
      },
      cert: {
        type: "string",
        value: "FILE",
        summary: "client certificate, where server.tls.client_auth is require",
      },
      key: { type: "string", value: "FILE", summary: "its key" },
    },
    examples: ["cliproxy healthcheck", "cliproxy healthcheck --url http://127.0.0.1:8080/readyz"],
    load: () => import("./healthcheck.ts"),
  },
  {
    name: "version",
    summary: "show version, runtime and platform",
    options: {},
    load: () => import("./version.ts"),
  },
  {
    name: "keys new",
    summary: "make a client key",
    details:
      "The key is shown once and kept nowhere. The configuration needs only its digest, which the " +
      "printed snippet holds.",
    options: {
      id: {
        type: "string",
        value: "ID",
        summary: "name of the key in logs and metrics: 1 to 64 letters, digits and . _ @ -",
        check: (value) => (/^[\w.@-]{1,64}$/.test(value) ? undefined : "is no id"),
      },
      user: {
        type: "string",
        value: "USER",
        summary: "who uses it, at most 256 printable characters; the id when not given",
        check: (value) => (/^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u.test(value) ? undefined : "is no user"),
      },
    },
    examples: ["cliproxy keys new --id alice --user alice@example.com"],
    load: () => import("./keys-new.ts"),
  },
  ...authsCommands,
  {
    name: "tls new",
    summary: "make a certificate for tests",
    details:
      "Writes tls.crt and tls.key (0600), signed by nobody but itself: clients must be told to " +
      "trust it. It replaces no file. For production, take one of a public authority.",
    options: {
      host: {
        type: "string",
        value: "NAME",
        multiple: true,
        summary: "name or address that clients call; may be given more than once",
        check: (value) => (/^[a-z0-9.:*_-]{1,253}$/i.test(value) ? undefined : "is no host"),
      },
      dir: { type: "string", value: "DIR", completes: "file", summary: "where to; default: here" },
      days: {
        type: "string",
        value: "DAYS",
        summary: "how long it is valid, 1 to 825; default: 90",
        check: (value) =>
          /^\d{1,3}$/.test(value) && Number(value) >= 1 && Number(value) <= 825
            ? undefined
            : "is no number of days from 1 to 825",
      },
    },
    examples: ["cliproxy tls new --host localhost --host 127.0.0.1 --dir ./tls"],
    load: () => import("./tls-new.ts"),
  },
  {
    name: "policies list",
    summary: "list the security policies, built in and from disk, and the keys each reads",
    options: {},
    load: async () => ({ run: (await import("./policies.ts")).list }),
  },
  {
    name: "policies plan",
    summary: "show what the configuration enforces, where and in which order",
    options: {},
    load: async () => ({ run: (await import("./policies.ts")).plan }),
  },
  {
    name: "policies lock",
    summary: "pin the files that the policies from disk are made of",
    details:
      "Writes policies.lock into policies.dir, in the form of sha256sum, and says what changed. It " +
      "runs none of the policies. From then on a file that differs is not loaded.",
    options: {},
    examples: ["cliproxy policies lock --config config.yaml"],
    load: async () => ({ run: (await import("./policies-lock.ts")).lock }),
  },
  {
    name: "audit verify",
    summary: "check that nobody has changed the audit log",
    details:
      "Checks the chain of the configured log and of the files it was rotated to, or of the files " +
      "named. Every record that was edited, removed, moved or inserted is told by file and line. " +
      "What was cut off at the end can be missed only up to the last checkpoint: keep copies of the " +
      "checkpoints elsewhere, and give them by --checkpoint.",
    options: {
      checkpoint: {
        type: "string",
        value: "FILE",
        completes: "file",
        summary: "any text with checkpoints in it, such as the operational log",
      },
      key: {
        type: "string",
        value: "FILE",
        completes: "file",
        summary: "the audit key, instead of audit.key in auth.dir",
      },
    },
    positionals: [
      {
        name: "file",
        summary: "a file of the log",
        completes: "file",
        optional: true,
        multiple: true,
      },
    ],
    examples: [
      "cliproxy audit verify",
      "cliproxy audit verify --checkpoint /mnt/elsewhere/checkpoints",
      "cliproxy audit verify --key ./audit.key audit.log.1 audit.log",
    ],
    load: () => import("./audit-verify.ts"),
  },
  {
    name: "completions",
    summary: "print a completion script for a shell",
    options: {},
    positionals: [{ name: "shell", summary: "the shell", values: ["bash", "zsh", "fish"] }],
    examples: [
      "source <(cliproxy completions bash)",
      "source <(cliproxy completions zsh)",
      "cliproxy completions fish | source",
    ],
    load: () => import("./completions.ts"),
  },
];
