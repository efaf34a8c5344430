import { openAuthStore } from "../../kit/auth-store.ts";
import { type CommandContext, exitCodes, fail } from "../frame.ts";
import { withPlace } from "./source.ts";

/** Removes one credential, or all of a provider. */
export function run(context: CommandContext): Promise<number> {
  const { io, options, positionals } = context;
  const [provider = "", id] = positionals;
  return withPlace(context, async ({ dir, providers, vault }) => {
    const store = openAuthStore(dir, providers, vault, true);
    const { credentials, refused } = store.list();
    const ids = [...credentials, ...refused]
      .filter((one) => one.provider === provider)
      .map((one) => one.id ?? "");
    if (id === undefined && options.all !== true && ids.length > 1) {
      const message = `${provider} has ${ids.length} credentials: ${ids.join(", ")}`;
      const mend = "name one, or use --all";
      return fail(io, { code: "ambiguous", message, mend }, exitCodes.wrongUsage);
    }
    const removed = await store.remove(provider, id);
    if (io.json) io.out(`${JSON.stringify({ provider, removed })}\n`);
    if (removed.length === 0) {
      const message = `${provider} has no ${id === undefined ? "credential" : `credential ${id}`}`;
      const mend = "see `cliproxy auths list`";
      return io.json ? exitCodes.finding : fail(io, { code: "not_found", message, mend }, 1);
    }
    if (!io.json) io.out(`${removed.map((one) => `${provider} ${one}: removed`).join("\n")}\n`);
    return exitCodes.fine;
  });
}
