import { openAuthStore, StoreFault } from "../../kit/auth-store.ts";
import { withDirLock } from "../../kit/dir-lock.ts";
import { noteKey } from "../../kit/key-check.ts";
import { escapeControls } from "../../kit/redact.ts";
import type { AuthPlace } from "../../vault.ts";
import { type CommandContext, exitCodes } from "../frame.ts";
import { withProgress } from "./progress.ts";
import { needsKey, withPlace } from "./source.ts";

interface Resealed {
  sealed: number;
  unchanged: number;
  readonly refused: string[];
}

/** `auths encrypt`: what is in the clear, or bound to no place. */
export function encrypt(context: CommandContext): Promise<number> {
  return withPlace(context, async (place) => {
    const done = await reseal(context, place, false);
    return tell(context, done, "encrypted", []);
  });
}

/** `auths rotate`: all, with the first key. */
export function rotate(context: CommandContext): Promise<number> {
  return withPlace(context, async (place) => {
    const done = await reseal(context, place, true);
    const { dir, vault } = place;
    const notes: string[] = [];
    if (done.refused.length === 0) {
      await withDirLock(dir, () => noteKey(dir, vault, true));
      if (vault.keys.length > 1) {
        notes.push("the other keys are needed no more: take them out of auth.encryption.keys");
      }
    } else if (vault.keys.length > 1) {
      notes.push("keep the old keys until nothing is refused");
    }
    return tell(context, done, "encrypted with the first key", notes);
  });
}

async function reseal(
  { io }: CommandContext,
  { dir, providers, vault }: AuthPlace,
  all: boolean,
): Promise<Resealed> {
  if (vault.sealsWith === undefined) throw needsKey();
  // What must be encrypted is still to be: it is read to that end.
  const lenient = { ...vault, requireEncrypted: false };
  const store = openAuthStore(dir, providers, lenient, true);
  const { credentials, refused } = store.list();
  // A file of nobody may need an old key, too: then that key must not be given up.
  const foreign = refused.filter(({ reason }) => all || reason !== "no_provider");
  const done: Resealed = {
    ...{ sealed: 0, unchanged: 0 },
    refused: foreign.map(({ path, message }) => `${path} ${message}`),
  };
  const todo = credentials.filter((one) => {
    return one.form !== "encrypted" || (all && one.keyId !== vault.sealsWith?.id);
  });
  done.unchanged = credentials.length - todo.length;
  await withProgress(io, todo, async ({ file, path }) => {
    try {
      if ((await store.reseal(file)) === "sealed") done.sealed += 1;
      else done.unchanged += 1;
    } catch (error) {
      if (!(error instanceof StoreFault) || error.code === "cannot_write") throw error;
      // Removed or changed since it was listed.
      if (error.code !== "not_found") done.refused.push(`${path}: ${error.message}`);
    }
  });
  return done;
}

function tell(
  { io }: CommandContext,
  { sealed, unchanged, refused }: Resealed,
  how: string,
  notes: readonly string[],
): number {
  const code = refused.length === 0 ? exitCodes.fine : exitCodes.finding;
  if (io.json) {
    io.out(`${escapeControls(JSON.stringify({ sealed, unchanged, refused, notes }))}\n`);
    return code;
  }
  const lines = refused.map((one) => `refused: ${one}`);
  lines.push(`${sealed} ${how}, ${unchanged} were so already, ${refused.length} refused`);
  lines.push(...notes);
  io.out(`${lines.map(escapeControls).join("\n")}\n`);
  return code;
}
