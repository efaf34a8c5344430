import type { Refusal } from "../errors.ts";
import type { RunningExchange } from "../exchange.ts";
import { refuse } from "../reply.ts";
import { type AdminHouse, handleAdmin, type MountedOperation } from "./handle.ts";
import { toPattern } from "./mount.ts";

/** What answers one management request once its exchange is there. */
export type AdminWalk = (x: RunningExchange) => Promise<Response>;

/** The operations of one path. */
export interface AdminPath {
  /** As Hono takes it. */
  readonly pattern: string;
  /** @param params the decoded parameters of the path */
  walk(method: string, params: Readonly<Record<string, string>>): AdminWalk;
}

/** All paths of the management API. */
export function adminPaths(
  operations: readonly MountedOperation[],
  house: AdminHouse,
): readonly AdminPath[] {
  const byPattern = new Map<string, Map<string, MountedOperation>>();
  for (const mounted of operations) {
    const pattern = toPattern(mounted.operation);
    const byMethod = byPattern.get(pattern) ?? new Map<string, MountedOperation>();
    const { method, id } = mounted.operation;
    if (byMethod.has(method)) throw new Error(`the operation ${id} is there twice`);
    byPattern.set(pattern, byMethod.set(method, mounted));
  }
  return [...byPattern].map(([pattern, byMethod]) => ({
    pattern,
    walk(method, params) {
      const mounted = byMethod.get(method === "HEAD" ? "GET" : method);
      if (mounted === undefined) return refused(notTaken(byMethod));
      return (x) => handleAdmin(x, mounted, params, house);
    },
  }));
}

/** What is not on the map: strangers learn nothing from it. */
export const unknownPath: AdminWalk = refused({ code: "not_found" });

function notTaken(byMethod: ReadonlyMap<string, unknown>): Refusal {
  const allowed = [...byMethod.keys()].flatMap((m) => (m === "GET" ? [m, "HEAD"] : [m]));
  return { code: "method_not_allowed", headers: { allow: allowed.join(", ") } };
}

function refused(refusal: Refusal): AdminWalk {
  return async (x) => refuse(x, (await x.route.pipeline.request(x)) ?? refusal);
}
