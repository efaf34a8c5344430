import { chmodSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createPrivateFile } from "../kit/private-file.ts";
import { type CommandContext, exitCodes } from "./command.ts";

const usualDays = 90;

/** Makes a certificate for tests, in a pair of new files. */
export async function run({ io, options }: CommandContext): Promise<number> {
  const hosts = Array.isArray(options.host) ? (options.host as string[]) : [];
  if (hosts.length === 0) {
    io.err("tls new: --host is missing (mend: name what clients call: --host localhost)\n");
    return exitCodes.wrongUsage;
  }
  const dir = typeof options.dir === "string" ? options.dir : ".";
  const certFile = resolve(join(dir, "tls.crt"));
  const keyFile = resolve(join(dir, "tls.key"));
  for (const file of [certFile, keyFile]) {
    if (!existsSync(file)) continue;
    io.err(`tls new: ${file} is there already (mend: choose another --dir, or move it away)\n`);
    return exitCodes.finding;
  }
  const days = typeof options.days === "string" ? Number(options.days) : usualDays;
  // The library of certificates needs it, and a bundle keeps their order only so.
  await import("reflect-metadata");
  const { makeSelfSigned } = await import("../kit/self-signed.ts");
  const { cert, key } = await makeSelfSigned(hosts, days, Date.now());
  try {
    createPrivateFile(keyFile, key);
    createPrivateFile(certFile, cert);
    chmodSync(certFile, 0o644);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    io.err(`tls new: can't write into ${resolve(dir)}: ${code} (mend: choose another --dir)\n`);
    return exitCodes.failed;
  }
  if (io.json) {
    io.out(`${JSON.stringify({ cert_file: certFile, key_file: keyFile, hosts, days })}\n`);
    return exitCodes.fine;
  }
  const q = JSON.stringify;
  io.out(
    [
      `For tests: signed by nobody but itself, for ${hosts.join(", ")}, valid ${days} days.`,
      "",
      "server:",
      "  tls:",
      "    enabled: true",
      `    cert_file: ${q(certFile)}`,
      `    key_file: ${q(keyFile)}`,
      "",
    ].join("\n"),
  );
  return exitCodes.fine;
}
