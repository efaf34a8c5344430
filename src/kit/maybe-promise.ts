/** Goes on with a value at once if it is there: a promise would cost every request a turn. */
export function andThen<T, R>(value: T | Promise<T>, go: (value: T) => R | Promise<R>) {
  return value instanceof Promise ? value.then(go) : go(value);
}
