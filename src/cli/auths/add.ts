import { readFileSync, statSync } from "node:fs";
import { openAuthStore } from "../../kit/auth-store.ts";
import { isSampleKey } from "../../kit/client-key.ts";
import { type CredentialInput, parseCredential } from "../../kit/credential-file.ts";
import { defaultId } from "../../kit/credential-name.ts";
import { mostCredentialBytes } from "../../kit/guarded-read.ts";
import { readInput } from "../../runtime/terminal-input.ts";
import { type CommandContext, exitCodes, fail } from "../frame.ts";
import { isSame } from "./compare.ts";
import { withPlace } from "./source.ts";

/** Adds one credential; its secret comes by standard input, a file or a prompt. */
export function run(context: CommandContext): Promise<number> {
  const { io, options, positionals } = context;
  const [provider = "", id = defaultId] = positionals;
  const refuse = (code: string, message: string, mend: string): number =>
    fail(io, { code, message, mend }, exitCodes.wrongUsage);
  if (options.token !== undefined) {
    const mend =
      "pipe it, or name a file by --token-file; and change a token that others may have seen";
    return Promise.resolve(refuse("bad_value", "a token on the command line shows in `ps`", mend));
  }
  return withPlace(context, async ({ dir, providers, vault }) => {
    const store = openAuthStore(dir, providers, vault, true);
    const given = await secretOf(context, provider);
    if ("wrong" in given) return refuse("bad_value", given.wrong, "see `cliproxy help auths add`");
    const content = toContent(given.text, options);
    if (typeof content === "string") {
      return refuse("bad_credential", content, "nothing was written");
    }
    const old = store.list().credentials.find((c) => c.provider === provider && c.id === id);
    if (old !== undefined && options.replace !== true) {
      if (isSame(old.content, content)) return tell("unchanged");
      const message = `${provider} has a credential ${id} already`;
      return refuse("exists", message, "give it another id, or use --replace");
    }
    const isNew = await store.write(provider, id, content);
    return tell(isNew ? "added" : "replaced");

    function tell(result: string): number {
      const form = vault.sealsWith === undefined ? "in the clear" : "encrypted";
      if (io.json) io.out(`${JSON.stringify({ provider, id, result, form })}\n`);
      else if (result === "unchanged") io.out(`${provider} ${id}: was there already\n`);
      else io.out(`${provider} ${id}: ${result}, ${form}\n`);
      return exitCodes.fine;
    }
  });
}

type Given = { readonly text: string } | { readonly wrong: string };

async function secretOf({ io, options }: CommandContext, provider: string): Promise<Given> {
  const file = options["token-file"];
  if (typeof file === "string" && file !== "-") {
    try {
      const { size } = statSync(file);
      if (size > mostCredentialBytes) return { wrong: `the file is larger than 64 KiB` };
      return { text: readFileSync(file, "utf8") };
    } catch (error) {
      return { wrong: `the file can't be read: ${(error as { code?: string }).code}` };
    }
  }
  const text = await readInput(`Token for ${provider} (not shown): `, mostCredentialBytes, io.err);
  return text === undefined ? { wrong: "the input is larger than 64 KiB" } : { text };
}

/** A credential, or a sentence about what is wrong with it. */
function toContent(text: string, options: CommandContext["options"]): CredentialInput | string {
  const trimmed = text.trim();
  if (trimmed === "") return "no token was given";
  let content: unknown = { type: "api_key", token: trimmed };
  if (trimmed.startsWith("{")) {
    try {
      content = JSON.parse(trimmed);
    } catch {
      return "the credential is not JSON";
    }
  }
  const parsed = parseCredential(content);
  if (!parsed.ok) return parsed.message;
  if (parsed.content.type === "api_key" && isSampleKey(parsed.content.token)) {
    return "the token is a sample, or too short to be one";
  }
  const { label, priority } = options;
  return {
    ...(content as CredentialInput),
    ...(typeof label === "string" && { label }),
    ...(typeof priority === "string" && { priority: Number(priority) }),
    created_at: parsed.content.created_at ?? new Date().toISOString(),
  };
}
