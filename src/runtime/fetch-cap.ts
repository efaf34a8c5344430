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
  const [command] = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
  if (typeof Bun === "undefined" || process.env[variable] !== undefined) return;
  if (command === undefined || !callers.has(command) || process.execve === undefined) return;
  const own = Bun.isStandaloneExecutable ? process.argv.slice(2) : process.argv.slice(1);
  const env = { ...process.env, [variable]: most } as Record<string, string>;
  process.execve(process.execPath, [process.execPath, ...own], env);
}
