/**
 * Bun runs at most 256 fetches at once unless this variable was set when the process began: 500
 * streams would wait for each other. So the process replaces itself once, keeping its pid.
 */
const variable = "BUN_CONFIG_MAX_HTTP_REQUESTS";
const most = "65535";

/** Commands that never call a provider start faster without. */
const callers = new Set(["serve"]);

/** Raises the cap on concurrent fetches; returns only if there is nothing to raise. */
export function liftFetchCap(): void {
  // Options may stand in front of the command, with values of their own.
  const calls = process.argv.slice(2).some((argument) => callers.has(argument));
  if (typeof Bun === "undefined" || process.env[variable] !== undefined) return;
  if (!calls || process.execve === undefined) return;
  const own = Bun.isStandaloneExecutable ? process.argv.slice(2) : process.argv.slice(1);
  const env = { ...process.env, [variable]: most } as Record<string, string>;
  process.execve(process.execPath, [process.execPath, ...own], env);
}
