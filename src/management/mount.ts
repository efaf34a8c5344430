import type { AdminHandler, AdminOperation } from "../contract/admin.ts";
import type { MountedOperation } from "./handle.ts";

/** Where the management API is. */
export const adminRoot = "/v0/management";

/**
 * Joins operations with their handlers.
 * @param handlers undefined: their policy is not enabled, and they say so
 * @throws Error when an operation of an enabled policy has no handler
 */
export function mountOperations(
  policy: string,
  operations: readonly AdminOperation[],
  handlers: Readonly<Record<string, AdminHandler>> | undefined,
): readonly MountedOperation[] {
  return operations.map((operation) => {
    const run = handlers === undefined ? notEnabled(policy) : handlers[operation.id];
    if (run === undefined) throw new Error(`the operation ${operation.id} has no handler`);
    return { operation, run };
  });
}

function notEnabled(policy: string): AdminHandler {
  const message = `The policy ${policy} is not enabled in the configuration.`;
  return () => ({ deny: "not_found", message });
}

/** The pattern by which Hono finds an operation: `/auths/{provider}` is `/auths/:provider`. */
export function toPattern({ path }: AdminOperation): string {
  return adminRoot + path.replace(/\{(\w+)\}/g, ":$1");
}
