/** Whose credential a file is, by its name. */
export interface CredentialName {
  readonly provider: string;
  /** `default` for `<provider>.json`. */
  readonly id: string;
  /** Name of the file, without its directory. */
  readonly file: string;
}

export const defaultId = "default";
const suffix = ".json";
const idShape = /^[A-Za-z0-9][\w.@+-]{0,99}$/;

export const idWanted =
  "1 to 100 letters, digits and . _ @ + -, beginning with a letter or a digit";

/** Whether a file of `auth.dir` may be a credential at all. */
export function isCredentialFile(file: string): boolean {
  return file.endsWith(suffix) && !file.startsWith(".");
}

/** The provider with the longest name that the file name begins with; undefined: nobody's. */
export function nameOfFile(file: string, providers: readonly string[]): CredentialName | undefined {
  const base = file.slice(0, -suffix.length);
  let provider: string | undefined;
  for (const name of providers) {
    const isOwner = base === name || base.startsWith(`${name}-`);
    if (isOwner && name.length > (provider?.length ?? -1)) provider = name;
  }
  if (provider === undefined) return undefined;
  const id = base === provider ? defaultId : base.slice(provider.length + 1);
  return { provider, id, file };
}

/**
 * The name of the file of a credential.
 * @returns a sentence where there can be no such file
 */
export function nameOfCredential(
  provider: string,
  id: string,
  providers: readonly string[],
): CredentialName | string {
  if (!providers.includes(provider)) {
    return `there is no provider ${provider}; there are ${providers.join(", ")}`;
  }
  if (!idShape.test(id)) return `the id must be ${idWanted}`;
  const file = `${id === defaultId ? provider : `${provider}-${id}`}${suffix}`;
  const owner = nameOfFile(file, providers)?.provider;
  if (owner !== provider) return `${file} would belong to the provider ${owner}`;
  return { provider, id, file };
}
