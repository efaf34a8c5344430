/** A request that another dialect can't hold, or that is not well formed. */
export class Untranslatable extends Error {
  /** Where in the request it stands. */
  readonly field: string;

  /** @param why a clause for the client, after the field's name: `must be a string` */
  constructor(field: string, why: string) {
    super(`\`${field}\` ${why}.`);
    this.name = "Untranslatable";
    this.field = field;
  }
}

/** An answer of a provider that its dialect does not allow. */
export class BadAnswer extends Error {
  constructor(what: string) {
    super(what);
    this.name = "BadAnswer";
  }
}
