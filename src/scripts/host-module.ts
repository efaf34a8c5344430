import * as v from "valibot";

/** Where the code of a policy finds what `cliproxy/policy` gives it. */
export const hostSymbol = "cliproxy.policy";

/** Gives a policy its types; returns it unchanged. */
function definePolicy<T>(policy: T): T {
  return policy;
}

/** The values of `cliproxy/policy`. */
export const hostModule = { definePolicy, v };

/** The modules that a policy may import and that are no files, as JavaScript. */
export const hostModules: Readonly<Record<string, string>> = {
  "cliproxy/policy": [
    `const host = globalThis[Symbol.for(${JSON.stringify(hostSymbol)})];`,
    ...Object.keys(hostModule).map((name) => `export const ${name} = host.${name};`),
  ].join("\n"),
};
