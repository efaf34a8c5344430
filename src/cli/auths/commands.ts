import type { Command, PositionalSpec } from "../command.ts";

const provider: PositionalSpec = {
  name: "provider",
  summary: "name of the provider, as in the configuration",
};
const id: PositionalSpec = {
  name: "id",
  summary: "which of its credentials; `default` is <provider>.json",
  optional: true,
};
const replace = {
  type: "boolean",
  summary: "replace a credential that is there and differs",
} as const;

/** What is done to the credentials in `auth.dir`; a running proxy takes each change up at once. */
export const authsCommands: readonly Command[] = [
  {
    name: "auths list",
    summary: "list the credentials of providers, and what is wrong with any",
    details: "Exit code 1 when a file is refused. Of a secret the last 4 characters are shown.",
    options: {},
    examples: ["cliproxy auths list", "cliproxy auths list --json"],
    load: () => import("./list.ts"),
  },
  {
    name: "auths add",
    summary: "add a credential, encrypted where auth.encryption is enabled",
    details:
      "The token is asked for on a terminal, else read from standard input; never from the command " +
      "line, which other users of the machine can see. Input that begins with `{` is a whole " +
      "credential: of type api_key, oauth or service_account, as Google hands it out.",
    options: {
      "token-file": {
        type: "string",
        value: "FILE",
        completes: "file",
        summary: "read the token, or the whole credential, from a file",
      },
      token: { type: "string", value: "TOKEN", summary: "refused: it would show in `ps`" },
      label: { type: "string", value: "TEXT", summary: "a note for people" },
      priority: {
        type: "string",
        value: "NUMBER",
        summary: "a whole number; lower goes first, 0 when not given",
        check: (value) => (/^-?\d{1,9}$/.test(value) ? undefined : "is no whole number"),
      },
      replace,
    },
    positionals: [provider, id],
    quiet: true,
    examples: [
      "cliproxy auths add claude",
      "cliproxy auths add claude work --token-file /run/secrets/claude",
      "pass show claude | cliproxy auths add claude",
    ],
    load: () => import("./add.ts"),
  },
  {
    name: "auths remove",
    summary: "remove a credential",
    options: { all: { type: "boolean", summary: "remove all of the provider" } },
    positionals: [provider, id],
    examples: ["cliproxy auths remove claude work", "cliproxy auths remove claude --all"],
    load: () => import("./remove.ts"),
  },
  {
    name: "auths login",
    summary: "log in to a provider by OAuth, with a code that is typed in elsewhere",
    details:
      "Uses providers.<name>.oauth: device_url, token_url and client_id of a client that you have " +
      "registered; none is built in. A credential of that id is replaced.",
    options: {},
    positionals: [provider, id],
    examples: ["cliproxy auths login acme", "cliproxy auths login acme work --json"],
    load: () => import("./login.ts"),
  },
  {
    name: "auths encrypt",
    summary: "encrypt the credentials that are in the clear",
    details: "File by file, each at once or not at all: it may be broken off and run again.",
    options: {},
    examples: ["cliproxy auths encrypt"],
    load: async () => ({ run: (await import("./reseal.ts")).encrypt }),
  },
  {
    name: "auths rotate",
    summary: "encrypt all credentials with the first key of auth.encryption.keys",
    details:
      "File by file, each at once or not at all: it may be broken off and run again. Afterwards the " +
      "other keys are needed no more.",
    options: {},
    examples: ["cliproxy auths rotate"],
    load: async () => ({ run: (await import("./reseal.ts")).rotate }),
  },
  {
    name: "auths import",
    summary: "take over credentials of CLIProxyAPI",
    details:
      "From its auth files, a directory of them, or its config.yaml. Nothing is changed there. What " +
      "is here already is left alone, so that it may be run again.",
    options: {
      "dry-run": { type: "boolean", summary: "show what would be done" },
      replace,
    },
    positionals: [
      { name: "path", summary: "file or directory", completes: "file", multiple: true },
    ],
    examples: ["cliproxy auths import ~/.cli-proxy-api", "cliproxy auths import old/config.yaml"],
    load: () => import("./import.ts"),
  },
];
