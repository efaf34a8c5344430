import type { Candidate } from "./candidate.ts";

/** What was seen of a credential's answers. */
interface Measured {
  /** Moving mean of the time to the head of an answer, in milliseconds. */
  latencyMs: number | undefined;
  /** Smallest share that is left of any limit the provider tells, 0 to 1. */
  headroom: number | undefined;
}

/** How much the latest answer counts in the mean. */
const weight = 0.2;
/** Most credentials that are measured. */
const mostMeasured = 4096;

/** By provider and credential, through reloads: what is measured has nothing to do with them. */
const measured = new Map<string, Measured>();

type Way = Pick<Candidate, "credential"> & { readonly provider: { readonly name: string } };

/** Notes a good answer of a way whose order depends on it. */
export function noteMeasures(way: Way, latencyMs: number, headers: Headers): void {
  const key = keyOf(way);
  let known = measured.get(key);
  if (known === undefined) {
    if (measured.size >= mostMeasured) return;
    known = { latencyMs: undefined, headroom: undefined };
    measured.set(key, known);
  }
  const before = known.latencyMs ?? latencyMs;
  known.latencyMs = before + weight * (latencyMs - before);
  known.headroom = readHeadroom(headers) ?? known.headroom;
}

/** Undefined: not measured yet. */
export function latencyOf(way: Way): number | undefined {
  return measured.get(keyOf(way))?.latencyMs;
}

/** Undefined: its provider tells nothing. */
export function headroomOf(way: Way): number | undefined {
  return measured.get(keyOf(way))?.headroom;
}

/** `x-ratelimit-remaining-tokens` beside `x-ratelimit-limit-tokens`, and Anthropic's alike. */
function readHeadroom(headers: Headers): number | undefined {
  let least: number | undefined;
  headers.forEach((value, name) => {
    if (!name.includes("ratelimit") || !name.includes("remaining")) return;
    const limit = Number(headers.get(name.replace("remaining", "limit")) ?? Number.NaN);
    const share = Number(value) / limit;
    if (limit > 0 && share >= 0 && share < (least ?? 2)) least = Math.min(share, 1);
  });
  return least;
}

function keyOf({ provider, credential }: Way): string {
  return `${provider.name}\0${credential?.id ?? ""}`;
}
