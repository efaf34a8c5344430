import type { Candidate } from "./candidate.ts";
import { headroomOf, latencyOf } from "./measures.ts";
import type { Selection } from "./settings.ts";

/** Whose turn it is among equals; one may serve several lists of the same equals. */
export class Turn {
  #at = 0;
  /** Of smooth weighted round robin: what each has in hand. */
  readonly #inHand = new Map<string, number>();

  /** The next start in a circle of so many. */
  next(count: number): number {
    const at = this.#at % count;
    this.#at = (at + 1) % count;
    return at;
  }

  /** The next by weight: over as many turns as the weights add up to, each gets its own. */
  nextWeighted(keys: readonly string[], weights: readonly number[]): number {
    let best = 0;
    let most = Number.NEGATIVE_INFINITY;
    let total = 0;
    for (const [i, key] of keys.entries()) {
      const weight = weights[i] as number;
      const inHand = (this.#inHand.get(key) ?? 0) + weight;
      this.#inHand.set(key, inHand);
      total += weight;
      if (inHand <= most) continue;
      best = i;
      most = inHand;
    }
    const key = keys[best] as string;
    this.#inHand.set(key, most - total);
    return best;
  }
}

/**
 * Puts ways in the order in which they are tried.
 * @param ways of the best rank first
 * @param equals how many of the first are of one rank, and chosen among
 */
export function inOrder(
  selection: Selection,
  ways: readonly Candidate[],
  equals: number,
  turn: Turn,
): readonly Candidate[] {
  if (equals <= 1 || selection === "fill_first") return ways;
  const first = ways.slice(0, equals);
  const rest = ways.slice(equals);
  if (selection === "weighted") {
    const chosen = turn.nextWeighted(first.map(keyOf), first.map(weightOf));
    const [way] = first.splice(chosen, 1) as [Candidate];
    return [way, ...first.sort((a, b) => weightOf(b) - weightOf(a)), ...rest];
  }
  const start = turn.next(equals);
  const turned = [...first.slice(start), ...first.slice(0, start)];
  // What is not known yet comes first, or it never would be. Equals keep their turns.
  if (selection === "least_latency") {
    turned.sort((a, b) => (latencyOf(a) ?? -1) - (latencyOf(b) ?? -1));
  } else if (selection === "quota_aware") {
    turned.sort((a, b) => (headroomOf(b) ?? 1) - (headroomOf(a) ?? 1));
  }
  return [...turned, ...rest];
}

function keyOf({ provider, credential }: Candidate): string {
  return `${provider.name}\0${credential?.id ?? ""}`;
}

/** A provider's weight is for each of its credentials, unless they have their own. */
function weightOf({ provider, credential }: Candidate): number {
  return credential?.weight ?? provider.weight;
}
