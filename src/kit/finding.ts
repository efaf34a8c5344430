type Severity = "critical" | "high" | "medium" | "low" | "info";

interface Kind {
  readonly severity: Severity;
  readonly title: string;
  readonly why: string;
  readonly mend: string;
}

/** Ways in which one finding differs from the usual of its kind. */
interface Differing {
  readonly severity?: Severity;
  readonly mend?: string;
}

/** As the contract has it. */
interface Made<K extends string> {
  readonly id: K;
  readonly severity: Severity;
  readonly title: string;
  readonly evidence: string;
  readonly mend: string;
  readonly docs: string;
}

/**
 * A function that makes findings of the given kinds.
 * @param kinds by id
 * @param page below docs/ that has a heading for each id
 */
export function finder<K extends string>(
  kinds: Readonly<Record<K, Kind>>,
  page = "doctor.md",
): (id: K, evidence: string, differing?: Differing) => Made<K> {
  return (id, evidence, differing = {}) => {
    const { severity, title, mend } = { ...kinds[id], ...differing };
    return { id, severity, title, evidence, mend, docs: `${page}#${id}` };
  };
}
