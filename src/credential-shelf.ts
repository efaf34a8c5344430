import { digestOf } from "./kit/digest.ts";
import type { Credential } from "./providers.ts";

/** The credentials of one provider: its files may change while its generation serves. */
export class CredentialShelf {
  readonly #inline: readonly Credential[];
  #list: readonly Credential[];

  /** @param inline those of the configuration, which stay */
  constructor(inline: readonly Credential[], found: readonly Credential[]) {
    this.#inline = inline;
    this.#list = inOrder([...inline, ...found]);
  }

  /** Another array after each change, by which a router sees it. */
  get list(): readonly Credential[] {
    return this.#list;
  }

  /**
   * Puts what was found in files in place of what was found before.
   * @returns whether anything is different now
   */
  replace(found: readonly Credential[]): boolean {
    const next = inOrder([...this.#inline, ...found]);
    if (digestOf(next.map(toShape)) === digestOf(this.#list.map(toShape))) return false;
    this.#list = next;
    return true;
  }
}

function inOrder(credentials: Credential[]): readonly Credential[] {
  return credentials.sort((a, b) => a.priority - b.priority);
}

function toShape({ id, kind, priority, weight, secret }: Credential): readonly unknown[] {
  return [id, kind, priority, weight, secret?.expose()];
}
