import { type AuthStore, StoreFault } from "../kit/auth-store.ts";
import type { OauthFile } from "../kit/credential-file.ts";
import { withLock } from "../kit/dir-lock.ts";
import type { RefreshClient, TokenFile } from "./refresh-origin.ts";
import { toStoredTokens, withTokens } from "./stored-tokens.ts";

/** A refresh takes 30 seconds at most, and the writing of its tokens some more. */
const lock = { waitMs: 40_000, staleMs: 60_000 };

/**
 * A credential's file in the store, as a refresh needs it.
 * @param configured the client of the provider's configuration
 */
export function tokenFile(
  store: AuthStore,
  provider: string,
  id: string,
  configured: RefreshClient | undefined,
): TokenFile {
  const readFile = (): OauthFile | undefined => {
    try {
      const { content } = store.read(provider, id);
      return content.type === "oauth" && !content.disabled ? content : undefined;
    } catch (error) {
      if (error instanceof StoreFault) return undefined;
      throw error;
    }
  };
  return {
    async alone(work) {
      // Beside the lock of the directory, which nobody may hold while a server thinks.
      const name = `.refresh-${provider}-${id}.lock`;
      try {
        return await withLock(store.dir, name, lock, work);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "ELOCKED") return undefined;
        // Nobody else can write there either.
        if (code === "EROFS" || code === "EACCES" || code === "EPERM") return work();
        throw error;
      }
    },
    read() {
      const file = readFile();
      return file && toStoredTokens(file, configured);
    },
    async write(used, next) {
      let isWritten = false;
      try {
        await store.update(provider, id, ({ content }) => {
          // Edited, replaced or switched off meanwhile: what is there now is what was meant.
          if (content.type !== "oauth" || content.refresh_token !== used.expose()) return undefined;
          isWritten = true;
          return withTokens(content, next);
        });
      } catch (error) {
        if (error instanceof StoreFault && error.code === "not_found") return false;
        throw error;
      }
      return isWritten;
    },
  };
}
