/** Ending of the file beside a log that holds its checkpoints. */
export const checkpointSuffix = ".checkpoints";

/**
 * The name that a log gets when it is rotated.
 * @param lastSeq of its last record: two rotations never share it, whatever the clock does
 */
export function rotatedName(path: string, atMs: number, lastSeq: number): string {
  const at = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, "");
  return `${path}.${at}.${lastSeq}`;
}

/** The last record of a file that we rotated ourselves; undefined for any other name. */
export function lastSeqOf(base: string, name: string): number | undefined {
  if (!name.startsWith(`${base}.`)) return undefined;
  const found = /^\d{8}T\d{6}Z\.(\d{1,16})$/.exec(name.slice(base.length + 1));
  return found === null ? undefined : Number(found[1]);
}

/** Whether a name is that of the log, or of what it or logrotate made of it: `audit.log.1`. */
export function isLogName(base: string, name: string): boolean {
  if (name === base) return true;
  if (name === base + checkpointSuffix || /\.(?:gz|xz|zst|bz2)$/.test(name)) return false;
  return name.startsWith(`${base}.`) || name.startsWith(`${base}-`);
}
