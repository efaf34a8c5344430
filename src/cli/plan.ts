import type { Plan } from "../plan.ts";

/** What is enforced, in order: one line for the policies, one for each provider. */
export function planLines(plan: Plan): string[] {
  const enforced = plan.policies.filter(({ mode }) => mode === "enforce" || mode === "shadow");
  const order = enforced
    .map(({ name, mode }) => (mode === "shadow" ? `${name} (shadow)` : name))
    .join(" → ");
  const lines = [`  enforced  ${order}`];
  for (const { name, base, credentials, models } of plan.providers) {
    const list = typeof models === "string" ? models : models.join(", ");
    const keys = credentials === 1 ? "1 credential" : `${credentials} credentials`;
    lines.push(`  provider  ${name}: ${base}, ${keys}, models: ${list}`);
  }
  const { store, path } = plan.state;
  lines.push(`  state     ${path === "" ? store : `${store}: ${path}`}`);
  return lines;
}
