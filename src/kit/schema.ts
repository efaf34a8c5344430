import * as v from "valibot";
import { Secret } from "./secret.ts";

/** What a schema says about itself; wording, reference and twins are made from it. */
export interface SchemaFacts {
  readonly description?: string;
  readonly examples?: readonly unknown[];
  /** The value is shown nowhere, and a `*_file` twin of its key is accepted. */
  readonly secret?: boolean;
  readonly format?: "duration" | "bytes" | "port";
}

type DocAction<T> = v.MetadataAction<T, { description: string; examples?: unknown[] }>;

/**
 * Documents a key of the configuration; the last item of a `v.pipe`.
 * @param description one sentence
 * @param more `example`: a value for the reference, as it is written in YAML
 */
export function doc<T>(description: string, more: { example?: unknown } = {}): DocAction<T> {
  return v.metadata({
    description,
    ...("example" in more && { examples: [more.example] }),
  });
}

/** A non-empty string that becomes a `Secret`; YAML may give it as `<key>_file` instead. */
export function secret(): v.GenericSchema<string, Secret> {
  return v.pipe(
    v.string(),
    v.nonEmpty(),
    v.metadata({ secret: true }),
    v.transform((value: string) => new Secret(value)),
  );
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * A time with a unit, such as `500ms`, `30s`, `5m`, `1h` or `1d`, which becomes milliseconds.
 * @param bounds least (default `0ms`) and most (default `24d`: a longer timer fires at once)
 */
export function duration(
  bounds: { readonly min?: string; readonly max?: string } = {},
): v.GenericSchema<string, number> {
  const { min = "0ms", max = "24d" } = bounds;
  const [minMs = 0, maxMs = 0] = [toMs(min), toMs(max)];
  return v.pipe(
    v.string("needs a unit"),
    v.metadata({ format: "duration" }),
    v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
      const ms = toMs(dataset.value);
      if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
      const message = ms === undefined ? "is not a duration" : `must be between ${min} and ${max}`;
      addIssue({ message });
      return NEVER;
    }),
  );
}

function toMs(text: string): number | undefined {
  const found = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  return found === null ? undefined : Number(found[1]) * unitMs[found[2] as keyof typeof unitMs];
}

const unitBytes: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1000,
  KiB: 1024,
  MB: 1000 ** 2,
  MiB: 1024 ** 2,
  GB: 1000 ** 3,
  GiB: 1024 ** 3,
};

/** A size of at least one byte: `64KiB`, `10MB`, or a whole number of bytes; becomes bytes. */
export function bytes(): v.GenericSchema<string | number, number> {
  return v.pipe(
    v.union([v.string(), v.number()], "is not a size"),
    v.metadata({ format: "bytes" }),
    v.rawTransform<string | number, number>(({ dataset, addIssue, NEVER }) => {
      const size = typeof dataset.value === "number" ? dataset.value : toBytes(dataset.value);
      if (Number.isSafeInteger(size) && size > 0) return size;
      addIssue({ message: "is not a size" });
      return NEVER;
    }),
  );
}

function toBytes(text: string): number {
  const found = /^(\d{1,15})([KMG]?i?B)$/.exec(text);
  return found === null ? Number.NaN : Number(found[1]) * (unitBytes[found[2] ?? ""] ?? Number.NaN);
}

/** A TCP port; 0 lets the system choose one. */
export function port(): v.GenericSchema<number, number> {
  return v.pipe(
    v.number(),
    v.integer(),
    v.minValue(0),
    v.maxValue(65_535),
    v.metadata({ format: "port" }),
  );
}
