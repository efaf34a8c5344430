import ipaddr from "ipaddr.js";

const names = new Set(["localhost", "127.0.0.1", "::1", "[::1]"]);

/** By the whole address: `127.evil.example` is a name that its owner may point at 127.0.0.1. */
const address = /^127(?:\.\d{1,3}){3}$/;

/** How a loopback listener is usually called, without a port. */
export const loopbackNames: ReadonlySet<string> = names;

/** Whether a listener on that host is reached from this machine only. */
export function isLoopbackListener(host: string): boolean {
  // The resolver takes many spellings, such as 127.1, 2130706433 or ::ffff:127.0.0.1.
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (name === "localhost") return true;
  return ipaddr.isValid(name) && ipaddr.process(name).range() === "loopback";
}

/** Whether a Host header names this machine itself: a page can't point that name elsewhere. */
export function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d{1,5}$/, "").toLowerCase();
  return names.has(name) || address.test(name);
}
