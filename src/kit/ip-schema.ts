import * as v from "valibot";
import { formatRange, type IpRange, type ReadRange, readRange } from "./ip-range.ts";

/** A range as it stands in a configuration. */
export interface RangeEntry {
  readonly text: string;
  readonly range: IpRange;
  /** Bits behind the prefix were set, so it is wider than it looks. */
  readonly masked: boolean;
}

/** An address or a CIDR range; odd spellings are refused, each with its mend. */
export function ipRange(): v.GenericSchema<string, RangeEntry> {
  return v.pipe(
    v.string("must be an address or a range like 10.0.0.0/8"),
    v.rawTransform<string, RangeEntry>(({ dataset, addIssue, NEVER }) => {
      const read: ReadRange = readRange(dataset.value);
      if ("range" in read) return { text: dataset.value, ...read };
      addIssue({ message: read.problem });
      return NEVER;
    }),
  );
}

/** What to say of ranges that are wider than they look. */
export function maskedWarnings(entries: readonly RangeEntry[]): readonly string[] {
  return entries
    .filter(({ masked }) => masked)
    .map(({ text, range }) => `${text} has bits behind its prefix: it means ${formatRange(range)}`);
}
