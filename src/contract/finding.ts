/** How bad a finding is, worst first; `serve --strict` refuses a critical one. */
export const severities = ["critical", "high", "medium", "low", "info"] as const;
export type Severity = (typeof severities)[number];

/** What all findings of an id have in common; `finder` of kit makes findings of it. */
export interface FindingKind {
  /** The usual one; a finding may have another. */
  readonly severity: Severity;
  /** As that of its findings. */
  readonly title: string;
  /** What an attacker, or chance, can do with it: one or two sentences. */
  readonly why: string;
  /** The usual one. */
  readonly mend: string;
}

/** Something that is not as it should be, for `doctor`; it never holds a secret. */
export interface Finding {
  /** Stable, kebab-case, `<area>-<fault>`; listed in docs/doctor.md. */
  readonly id: string;
  readonly severity: Severity;
  /** What is wrong, in a few words, without what differs from case to case. */
  readonly title: string;
  /** What was seen, and where: a path, a mode, a key of the configuration. */
  readonly evidence: string;
  /** One line that says how to mend it; a command where there is one. */
  readonly mend: string;
  /** Page below docs/, with its heading: `doctor.md#files-mode`. */
  readonly docs: string;
}
