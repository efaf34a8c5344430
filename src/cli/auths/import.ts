import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { parse } from "yaml";
import { openAuthStore } from "../../kit/auth-store.ts";
import { escapeControls } from "../../kit/redact.ts";
import type { AuthPlace } from "../../vault.ts";
import { type CommandContext, exitCodes } from "../frame.ts";
import { isSame } from "./compare.ts";
import { type Foreign, fromAuthFile, isFields, type Skipped } from "./foreign.ts";
import { fromConfig } from "./foreign-config.ts";
import { withProgress } from "./progress.ts";
import { withPlace } from "./source.ts";

/** Largest file to look into, in bytes. */
const mostBytes = 4 * 1024 * 1024;
/** Most files of a directory. */
const mostFiles = 10_000;

interface Done {
  readonly provider: string;
  readonly id: string;
  readonly result: "added" | "replaced" | "unchanged" | "differs";
  readonly notes: readonly string[];
}

/** Takes over the credentials of CLIProxyAPI; its files stay as they are. */
export function run(context: CommandContext): Promise<number> {
  const found = merge(context.positionals.flatMap(readPath));
  return withPlace(context, async (place) => {
    const { done, skipped } = await takeOver(context, place, found);
    return tell(context, place, done, [...found.skipped, ...skipped], found.config);
  });
}

async function takeOver(
  { io, options }: CommandContext,
  { dir, providers, vault }: AuthPlace,
  { candidates }: Foreign,
): Promise<{ readonly done: readonly Done[]; readonly skipped: readonly Skipped[] }> {
  const done: Done[] = [];
  const skipped: Skipped[] = [];
  // Of providers that are still to be configured, too: the lines for that are printed.
  const owners = [...new Set([...providers, ...candidates.map(({ provider }) => provider)])];
  const store = openAuthStore(dir, owners, vault, true);
  const known = store.list().credentials;
  await withProgress(io, candidates, async ({ provider, id, content, notes }) => {
    // A configured provider would take the file for its own until this one is configured.
    const thief = providers.find((name) => name !== provider && provider.startsWith(`${name}-`));
    if (thief !== undefined && !providers.includes(provider)) {
      const why = `configure the provider ${provider} first: ${thief} would take the file for its own`;
      skipped.push({ what: `${provider} ${id}`, why });
      return;
    }
    const old = known.find((one) => one.provider === provider && one.id === id);
    if (old !== undefined && isSame(old.content, content)) {
      done.push({ provider, id, result: "unchanged", notes: [] });
      return;
    }
    if (old !== undefined && options.replace !== true) {
      done.push({ provider, id, result: "differs", notes: ["use --replace to replace it"] });
      return;
    }
    const dated = { created_at: new Date().toISOString(), ...content };
    if (options["dry-run"] !== true) await store.write(provider, id, dated);
    done.push({ provider, id, result: old === undefined ? "added" : "replaced", notes });
  });
  return { done, skipped };
}

function readPath(path: string): readonly Foreign[] {
  let files = [path];
  try {
    if (statSync(path).isDirectory()) {
      const names = readdirSync(path).filter(
        (name) => /\.json$/.test(name) && !name.startsWith("."),
      );
      if (names.length > mostFiles) return [none(path, `holds more than ${mostFiles} files`)];
      files = names.sort().map((name) => join(path, name));
    }
  } catch (error) {
    return [none(path, `can't be read: ${(error as { code?: string }).code}`)];
  }
  return files.map(readForeign);
}

function readForeign(path: string): Foreign {
  let content: unknown;
  try {
    const found = statSync(path);
    if (!found.isFile() || found.size > mostBytes) return none(path, "is no file of up to 4 MiB");
    const raw = readFileSync(path, "utf8");
    content = path.endsWith(".json") ? JSON.parse(raw) : parse(raw, { maxAliasCount: 100 });
  } catch (error) {
    const { code } = error as { code?: string };
    // A parser's own words would quote what it read.
    return none(
      path,
      typeof code === "string" && /^E[A-Z]+$/.test(code) ? code : "can't be parsed",
    );
  }
  if (isFields(content) && content.type === undefined) return fromConfig(content);
  return fromAuthFile(basename(path), content);
}

function none(what: string, why: string): Foreign {
  return { candidates: [], skipped: [{ what, why }], config: [] };
}

function merge(all: readonly Foreign[]): Foreign {
  return {
    candidates: all.flatMap(({ candidates }) => candidates),
    skipped: all.flatMap(({ skipped }) => skipped),
    config: all.flatMap(({ config }) => config),
  };
}

function tell(
  { io, options }: CommandContext,
  { vault }: AuthPlace,
  done: readonly Done[],
  skipped: readonly Skipped[],
  config: readonly string[],
): number {
  const isBad = skipped.length > 0 || done.some(({ result }) => result === "differs");
  const code = isBad ? exitCodes.finding : exitCodes.fine;
  const form = vault.sealsWith === undefined ? "in the clear" : "encrypted";
  const dryRun = options["dry-run"] === true;
  if (io.json) {
    const told = { dry_run: dryRun, form, credentials: done, skipped, config: config.join("\n") };
    io.out(`${escapeControls(JSON.stringify(told))}\n`);
    return code;
  }
  const lines = done.map(({ provider, id, result, notes }) =>
    [`${provider} ${id}: ${result}`, ...notes].join("; "),
  );
  lines.push(...skipped.map(({ what, why }) => `skipped: ${what}: ${why}`));
  if (done.some(({ result }) => result === "added" || result === "replaced")) {
    lines.push(dryRun ? "nothing was written: --dry-run" : `written ${form}`);
    lines.push(
      "the files it came from are still there: remove them when this proxy has taken over",
    );
  }
  if (config.length > 0) lines.push("", "For the configuration:", "", ...config);
  io.out(`${lines.map(escapeControls).join("\n")}\n`);
  return code;
}
