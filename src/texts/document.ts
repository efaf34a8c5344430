import type { TextEdit, TextPart } from "../contract/text.ts";
import { isObject } from "../kit/json-member.ts";
import { findParts, isCarrier, type JsonObject, type Place, setMember } from "./parts.ts";
import { countMembers, membersOf } from "./same-keys.ts";

/** Changes of a call that a policy may ask for. */
export interface CallEdit {
  readonly model?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly texts?: readonly TextEdit[];
}

/** Most texts of one body: more are refused, since a policy would be shown too little. */
export const mostParts = 20_000;

/** A body whose texts are shown and changed; parsed once. */
export class TextDocument {
  #root: JsonObject;
  #places: readonly Place[] | undefined = undefined;
  #isEdited = false;

  /**
   * @param body JSON of an object, no deeper than a scan of facts allows
   * @throws TextFault when what a provider reads in it may be something else than what is shown
   */
  constructor(body: Uint8Array) {
    let json: string;
    let root: unknown;
    try {
      json = new TextDecoder("utf-8", { fatal: true }).decode(body);
      root = JSON.parse(json);
    } catch {
      throw new TextFault("The request body is no JSON in UTF-8.");
    }
    if (!isObject(root)) throw new TextFault("The request body is no JSON object.");
    if (countMembers(json) !== membersOf(root)) {
      throw new TextFault("A key is given twice: leave one of the two out.");
    }
    this.#root = root as JsonObject;
    this.texts();
  }

  get isEdited(): boolean {
    return this.#isEdited;
  }

  /** A list of the caller's own. */
  texts(): readonly TextPart[] {
    this.#places ??= findParts(this.#root);
    if (this.#places.length > mostParts) {
      throw new TextFault(`The request has more than ${mostParts} texts: send fewer.`);
    }
    return this.#places.map(({ write, ...part }, index) => ({ index, ...part }));
  }

  /**
   * Applies an edit, all of it or nothing.
   * @returns what is wrong with it; undefined: it was applied
   */
  edit({ parameters = {}, texts = [] }: CallEdit): string | undefined {
    const wrong = this.#wrongEdit(parameters, texts);
    if (wrong !== undefined) return wrong;
    const places = this.#places ?? findParts(this.#root);
    const before = texts.length > 1 ? JSON.stringify(this.#root) : undefined;
    for (const { index, text } of texts) {
      if (places[index]?.write(text) === true) continue;
      if (before !== undefined) this.#root = JSON.parse(before) as JsonObject;
      this.#places = undefined;
      return `text ${index} can't be put at its place`;
    }
    if (texts.length > 0) this.#isEdited = true;
    for (const key of Object.keys(parameters)) {
      const value = parameters[key];
      if (value === null) delete this.#root[key];
      else setMember(this.#root, key, structuredClone(value));
      this.#isEdited = true;
    }
    this.#places = undefined;
    return undefined;
  }

  #wrongEdit(
    parameters: Readonly<Record<string, unknown>>,
    texts: readonly TextEdit[],
  ): string | undefined {
    if (!isObject(parameters)) return "parameters must be an object";
    if (!Array.isArray(texts)) return "texts must be a list";
    for (const key of Object.keys(parameters)) {
      if (isFixed(key)) return `${key} is no parameter`;
      if (JSON.stringify(parameters[key]) === undefined) return `${key} is no JSON`;
    }
    const count = this.texts().length;
    for (const one of texts as readonly unknown[]) {
      if (!isObject(one) || typeof one.text !== "string") return "a text must be text";
      const { index } = one;
      if (!Number.isSafeInteger(index) || Number(index) < 0 || Number(index) >= count) {
        return `there is no text ${String(index)}`;
      }
    }
    return undefined;
  }

  /** Another model, in a dialect whose body names it. */
  rename(model: string): void {
    if (typeof this.#root.model === "string") this.#root.model = model;
    this.#isEdited = true;
  }

  toBytes(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify(this.#root));
  }
}

/** The body can't be shown as it is; its message is for the client. */
export class TextFault extends Error {}

function isFixed(key: string): boolean {
  return isCarrier(key) || key === "model" || key === "stream" || key === "__proto__";
}
