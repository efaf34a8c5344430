/** One value for each object, made on first use and gone with it. */
export class PerObject<V> {
  readonly #values = new WeakMap<object, V>();
  readonly #make: (object: object) => V;

  constructor(make: (object: object) => V) {
    this.#make = make;
  }

  of(object: object): V {
    const known = this.#values.get(object);
    if (known !== undefined) return known;
    const made = this.#make(object);
    this.#values.set(object, made);
    return made;
  }
}
