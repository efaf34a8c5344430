declare const CLIPROXY_VERSION: string | undefined;

/** Built by build.ts, not run from source. */
export const isRelease: boolean = typeof CLIPROXY_VERSION !== "undefined";

/** Set by build.ts; from source there is no release. */
export const version: string =
  typeof CLIPROXY_VERSION === "undefined" ? "0.0.0-source" : CLIPROXY_VERSION;
