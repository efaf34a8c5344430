import { statSync } from "node:fs";
import { geteuid } from "node:process";

/**
 * Why a file or directory that will be run as code can't be trusted: whoever may write it may do
 * what the proxy may do.
 * @param owner uid besides root that it may belong to; this process's own when absent
 * @returns a sentence's end and how to mend it; undefined where it can be trusted
 */
export function distrustOf(
  path: string,
  owner: number | undefined = geteuid?.(),
): { readonly message: string; readonly mend: string } | undefined {
  const { uid, mode } = statSync(path);
  if (owner !== undefined && uid !== 0 && uid !== owner) {
    return {
      message: `${path} belongs to uid ${uid}, who could change it`,
      mend: `chown ${owner} ${path}`,
    };
  }
  if ((mode & 0o022) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, "0");
    return {
      message: `${path} may be written by others (mode ${octal})`,
      mend: `chmod go-w ${path}`,
    };
  }
  return undefined;
}
