import { execFile } from "node:child_process";
import { promisify } from "node:util";

const exec = promisify(execFile);

/** What `openssl s_client` says of a handshake. */
export async function shake(url: string, ...words: readonly string[]): Promise<string> {
  const at = url.replace("https://", "");
  const line = ["openssl", "s_client", "-connect", at, ...words].join(" ");
  const { stdout } = await exec("sh", ["-c", `${line} </dev/null 2>&1 || true`]);
  return stdout;
}

/** The suite of a handshake; `(NONE)`: there was no agreement. */
export function suiteOf(told: string): string {
  return /Cipher is (\S+)/.exec(told)?.[1] ?? "none";
}

/** A GET that trusts the authorities of a file alone; curl's exit code if it fails. */
export async function curl(url: string, ...words: readonly string[]): Promise<string | number> {
  try {
    return (await exec("curl", ["-sS", "--noproxy", "*", ...words, url])).stdout;
  } catch (error) {
    return (error as { code: number }).code;
  }
}
