declare const CLIPROXY_VERSION: string | undefined;
declare const CLIPROXY_COMMIT: string | undefined;
declare const CLIPROXY_BUILD: string | undefined;

/** Built by build.ts, not run from source. */
export const isRelease: boolean = typeof CLIPROXY_VERSION !== "undefined";

/** Set by build.ts; from source there is no release. */
export const version: string =
  typeof CLIPROXY_VERSION === "undefined" ? "0.0.0-source" : CLIPROXY_VERSION;

/** The commit it was built from; empty from source, or where git was not there to tell. */
export const commit: string = typeof CLIPROXY_COMMIT === "undefined" ? "" : CLIPROXY_COMMIT;

/** A digest of the sources and the lock file: the same for the same, whatever the commit. */
export const build: string = typeof CLIPROXY_BUILD === "undefined" ? "" : CLIPROXY_BUILD;
