import { openAuthStore } from "../../kit/auth-store.ts";
import type { StoredCredential } from "../../kit/credential-reading.ts";
import { escapeControls } from "../../kit/redact.ts";
import { type CommandContext, exitCodes } from "../frame.ts";
import { withPlace } from "./source.ts";

/** Fewer characters of a secret must not lose four of them. */
const leastShown = 20;

/** What of a secret may be shown: enough to tell it from another. */
export function endOf({ content }: StoredCredential): string {
  const secret =
    content.type === "api_key"
      ? content.token
      : content.type === "oauth"
        ? (content.refresh_token ?? content.access_token ?? "")
        : "";
  return secret.length < leastShown ? "" : secret.slice(-4);
}

/** Lists what is there; exit code 1 when a file is refused. */
export function run(context: CommandContext): Promise<number> {
  const { io } = context;
  return withPlace(context, ({ dir, providers, vault }) => {
    const { credentials, refused, notes } = openAuthStore(dir, providers, vault, false).list();
    const code = refused.length === 0 ? exitCodes.fine : exitCodes.finding;
    if (io.json) {
      const told = { dir, credentials: credentials.map(toData), refused, notes };
      io.out(`${escapeControls(JSON.stringify(told))}\n`);
      return code;
    }
    const rows = credentials.map((one) => {
      const { provider, id, form, keyId, content } = one;
      const end = endOf(one);
      const state = content.disabled ? "disabled, " : "";
      const how = keyId === undefined ? form : `${form} (key id ${keyId})`;
      const what = end === "" ? content.type : `${content.type} …${end}`;
      return [provider, id, what, state + how, content.label ?? ""];
    });
    const head = ["provider", "id", "secret", "state", "label"];
    const lines = credentials.length === 0 ? [`no credentials in ${dir}`] : table([head, ...rows]);
    for (const { path, message, mend } of refused) {
      lines.push(`refused: ${path} ${message}${mend === "" ? "" : ` (${mend})`}`);
    }
    for (const { path, notes: own } of credentials) {
      lines.push(...own.map((note) => `note: ${path} ${note}`));
    }
    lines.push(...notes.map((note) => `note: ${note}`));
    io.out(`${lines.map(escapeControls).join("\n")}\n`);
    return code;
  });
}

function toData(one: StoredCredential) {
  const { provider, id, file, form, keyId, content, notes } = one;
  const { type, label, priority, disabled, created_at } = content;
  const about = { type, label, priority, disabled, created_at, last4: endOf(one) };
  return { provider, id, file, form, key_id: keyId, ...about, notes };
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths?.[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
