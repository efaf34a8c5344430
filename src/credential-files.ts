import type { SecurityEvent } from "./contract/policy.ts";
import type { CredentialShelf } from "./credential-shelf.ts";
import { type FoundCredentials, type LastGood, readCredentials } from "./credentials.ts";
import type { House } from "./host.ts";
import { openAuthStore } from "./kit/auth-store.ts";
import { openDesk, type ProviderClient, type TokenDesk } from "./oauth/token-desk.ts";
import type { Runtime } from "./runtime/runtime.ts";
import type { AuthPlace } from "./vault.ts";

/** What a look at the files has brought. */
export interface Reread {
  /** Other credentials are used from now on. */
  readonly changed: boolean;
  /** Where no provider is configured, the files say which there are: now there are others. */
  readonly needsReload: boolean;
  readonly warnings: readonly string[];
}

/** The credential files of one generation, which may change while it serves. */
export interface CredentialFiles {
  read(names: readonly string[]): FoundCredentials;
  /** The generation serves: tokens are refreshed from now on. */
  adopt(emit: (event: SecurityEvent) => void): void;
  /** Reads them again: whoever comes next is served by what is there now. */
  reread(
    shelves: ReadonlyMap<string, CredentialShelf>,
    emit: (event: SecurityEvent) => void,
  ): Reread;
}

export interface FilesParts {
  readonly house: House;
  readonly runtime: Pick<Runtime, "openPool">;
  readonly place: AuthPlace;
  /** Whether modes that are too open are mended. */
  readonly repair: boolean;
  /** No provider is configured: the files say which there are. */
  readonly isDerived: boolean;
  clientOf(provider: string): ProviderClient;
}

export function openCredentialFiles(parts: FilesParts): CredentialFiles {
  const { house, runtime, place, repair, isDerived, clientOf } = parts;
  const { dir, vault } = place;
  const last = lastGood(house);
  let names: readonly string[] = [];
  let desk: TokenDesk | undefined;
  const look = (): FoundCredentials => {
    const store = openAuthStore(dir, names, vault, repair);
    desk = openDesk({ keepers: house.tokens, store, clock: house.clock, runtime, clientOf });
    return readCredentials(dir, names, { vault, last, repair, desk });
  };
  return {
    read(providers) {
      names = providers;
      return look();
    },
    adopt: (emit) => desk?.adopt(emit),
    reread(shelves, emit) {
      const { byProvider, warnings } = look();
      let changed = false;
      const held = new Set([...shelves].flatMap(([name, { list }]) => (list[0] ? [name] : [])));
      for (const [name, shelf] of shelves) {
        if (shelf.replace(byProvider.get(name) ?? [])) changed = true;
      }
      desk?.adopt(emit);
      const owned = [...byProvider.keys()];
      const isLeft = [...shelves].some(([name, { list }]) => list.length === 0 && held.has(name));
      const needsReload = isDerived && (isLeft || owned.some((name) => !shelves.has(name)));
      return { changed, needsReload, warnings };
    },
  };
}

/** Outlives a reload: what a credential file held before it was being written. */
function lastGood({ kept }: House): LastGood {
  const key = "core\0credentials";
  const last = kept.get(key) ?? new Map();
  kept.set(key, last);
  return last as LastGood;
}
