import * as v from "valibot";

/** Characters of the longest message. */
const longest = 500;

/** A sentence for clients, on one line. */
export function messageText() {
  return v.pipe(
    v.string(),
    v.nonEmpty(),
    v.maxLength(longest),
    v.regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, "must be one line, without control characters"),
  );
}
