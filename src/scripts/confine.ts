/** Globals that reach beyond the thread, and the grant that leaves them. */
const reaching: Readonly<Record<string, string>> = {
  fetch: "net",
  WebSocket: "net",
  EventSource: "net",
  XMLHttpRequest: "net",
  Worker: "system",
  process: "system",
};

/**
 * Takes from a thread what its policy was not granted, by name. It stops mistakes, not an author
 * who means harm: a runtime has more ways out than names.
 */
export function confine(granted: readonly string[]): void {
  const globals = globalThis as unknown as Record<string, unknown>;
  for (const [name, grant] of Object.entries(reaching)) {
    if (granted.includes(grant) || globals[name] === undefined) continue;
    const refuse = (): never => {
      throw new Error(`\`${name}\` needs the grant \`${grant}\` (policies.<name>.grant)`);
    };
    const stand = name === "process" ? { env: {}, exit: refuse } : refuse;
    try {
      Object.defineProperty(globals, name, { value: stand, configurable: false, writable: false });
    } catch {
      // A global that can't be replaced is told of in the docs.
    }
  }
}
