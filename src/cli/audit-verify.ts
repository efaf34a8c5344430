import { existsSync } from "node:fs";
import { type Checkpoint, readCheckpoints } from "../kit/audit-checkpoint.ts";
import { inChainOrder, readLines } from "../kit/audit-lines.ts";
import { type AuditFinding, type AuditReport, ChainVerifier } from "../kit/audit-verify.ts";
import { escapeControls } from "../kit/redact.ts";
import { type AuditSource, auditSource, readInput, UnreadableInput } from "./audit-source.ts";
import { type CommandContext, exitCodes, fail, type Io } from "./frame.ts";
import { refuseConfig } from "./house.ts";

/** Checks the chain of an audit log; says what was changed, and where. */
export function run(context: CommandContext): number {
  const { io, options } = context;
  try {
    const source = auditSource(context);
    if (!("files" in source)) return refuseConfig(io, source);
    const kept = typeof options.checkpoint === "string" ? options.checkpoint : undefined;
    return tell(io, verify(source, kept), source);
  } catch (error) {
    if (!(error instanceof UnreadableInput)) throw error;
    const mend = "see `cliproxy help audit verify`";
    return fail(io, { code: "bad_value", message: error.message, mend }, exitCodes.wrongUsage);
  }
}

function verify(source: AuditSource, kept: string | undefined): AuditReport {
  const { files, key, checkpoints: own, whole } = source;
  const checkpoints: Checkpoint[] = [];
  const foreign: AuditFinding[] = [];
  const read = (file: string): void => {
    const found = readCheckpoints(readInput(file), key);
    checkpoints.push(...found.signed);
    if (found.foreign === 0) {
      if (found.signed.length > 0 || file !== kept) return;
      throw new UnreadableInput(`${file} holds no checkpoint`);
    }
    const message = `${found.foreign} checkpoints were changed, or not written with this key`;
    foreign.push({ kind: "foreign_checkpoint", file, line: 0, message });
  };
  for (const file of own) if (existsSync(file)) read(file);
  if (kept !== undefined) read(kept);
  const verifier = new ChainVerifier(key, checkpoints);
  for (const file of readable(files)) {
    readLines(file, (line, bytes, torn) => verifier.line(file, line, bytes, torn));
  }
  const report = verifier.end(whole);
  return { ...report, findings: [...report.findings, ...foreign] };
}

/** In the order of the chain. */
function readable(files: readonly string[]): readonly string[] {
  try {
    return inChainOrder(files);
  } catch (error) {
    const { code, path } = error as { code?: string; path?: string };
    if (code === undefined) throw error;
    throw new UnreadableInput(`${path ?? "a file of the log"} can't be read: ${code}`);
  }
}

function tell(io: Io, report: AuditReport, { files }: AuditSource): number {
  const { findings, moreFindings, notes, records, first, last } = report;
  const ok = findings.length === 0;
  const code = ok ? exitCodes.fine : exitCodes.finding;
  if (io.json) {
    io.out(`${escapeControls(JSON.stringify({ ok, files, ...report }))}\n`);
    return code;
  }
  const lines = findings.map(({ file, line, message }) => {
    const place = [file, line === 0 ? "" : String(line)].filter((part) => part !== "").join(":");
    return place === "" ? message : `${place}: ${message}`;
  });
  if (moreFindings > 0) lines.push(`and ${moreFindings} more`);
  if (records === 0 && !ok)
    lines.push("no record at all is signed with this key: is it the right one?");
  lines.push(...notes.map((note) => `note: ${note}`));
  const count = files.length === 1 ? "1 file" : `${files.length} files`;
  const span = records === 0 ? "no records" : `${records} records (${first} to ${last})`;
  lines.push(`${span} in ${count}: ${ok ? "the chain is whole" : "the chain is broken"}`);
  io.out(`${lines.map(escapeControls).join("\n")}\n`);
  return code;
}
