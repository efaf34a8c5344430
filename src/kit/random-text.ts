import { masked, maskText } from "./redact.ts";

/** So long is a run of letters and digits that may be random. */
const runs = /[A-Za-z0-9+]{16,}/g;
/** So often must a run change between letters and digits, or small and large ones. */
const leastChanges = 5;

/** The first run of a text that looks random, as a key does that no vendor marks. */
export function randomRun(text: string): string | undefined {
  return text.match(runs)?.find(looksRandom);
}

/** Masks what looks like a key: by the shape that its vendor gives it, or since it is random. */
export function maskRandom(text: string): string {
  return maskText(text).replace(runs, (run) => (looksRandom(run) ? masked : run));
}

/** Whether a run of letters and digits is nothing that a person would call something. */
function looksRandom(run: string): boolean {
  if (!/\d/.test(run) || !/[A-Za-z]/.test(run)) return false;
  let changes = 0;
  for (let i = 1; i < run.length; i++) {
    if (classOf(run.charCodeAt(i)) !== classOf(run.charCodeAt(i - 1))) changes += 1;
  }
  return changes >= leastChanges && new Set(run).size >= 8;
}

function classOf(code: number): number {
  if (code < 58) return 0;
  return code < 91 ? 1 : 2;
}
