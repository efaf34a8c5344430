/** Whether a certificate's name stands for a host: itself, or `*` for its first label. */
export function coversHost(names: readonly string[], host: string): boolean {
  const asked = host.toLowerCase().replace(/^\[|\]$/g, "");
  const dot = asked.indexOf(".");
  return names.includes(asked) || (dot > 0 && names.includes(`*${asked.slice(dot)}`));
}
