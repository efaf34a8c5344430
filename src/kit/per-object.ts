/** One value for each object, made on first use and gone with it. */
export class PerObject<V> {
  readonly #values = new WeakMap<object, V>();
  readonly #make: () => V;

  constructor(make: () => V) {
    this.#make = make;
  }

  of(object: object): V {
    const known = this.#values.get(object);
    if (known !== undefined) return known;
    const made = this.#make();
    this.#values.set(object, made);
    return made;
  }
}
