import { createHash } from "node:crypto";
import { newClientKey } from "../kit/client-key.ts";
import { type CommandContext, exitCodes } from "./command.ts";

/** Makes a client key and shows it, this once, with what the configuration needs. */
export function run({ io, options }: CommandContext): number {
  const key = newClientKey();
  const digest = createHash("sha256").update(key).digest("hex");
  const id = typeof options.id === "string" ? options.id : `client-${digest.slice(0, 8)}`;
  const user = typeof options.user === "string" ? options.user : id;
  const yaml = snippet(id, user, digest);
  if (io.json) {
    io.out(`${JSON.stringify({ id, user_id: user, key, key_sha256: digest, yaml })}\n`);
    return exitCodes.fine;
  }
  io.out(
    [
      `client key   ${key}`,
      `sha256       ${digest}`,
      "",
      "The key is not kept: it is shown this once. Give it to its user, and add to the configuration:",
      "",
      yaml,
    ].join("\n"),
  );
  return exitCodes.fine;
}

/** Quoted, since YAML would read an id such as `null` or `1e3` as something else. */
function snippet(id: string, user: string, digest: string): string {
  const q = JSON.stringify;
  const entry = `{ id: ${q(id)}, user_id: ${q(user)}, key_sha256: ${q(digest)} }`;
  return `auth:\n  api_keys:\n    - ${entry}\n`;
}
