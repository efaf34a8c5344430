import { Registry } from "prom-client";
import type { Gauge } from "../../src/contract/policy.ts";
import type { Counts } from "./counts.ts";
import type { Family, Sample } from "./family.ts";

/** Most series of one gauge; those beyond are left out, so that a scrape stays short. */
export const mostGaugeSeries = 1000;

export const contentType = Registry.PROMETHEUS_CONTENT_TYPE;

/** The text of a scrape. */
export async function scrape(counts: Counts, gauges: readonly Gauge[]): Promise<string> {
  const registry = new Registry();
  for (const family of [...counts.families(), ...gauges.map(toFamily)]) {
    // The registry asks no more of a metric than its name and `get`.
    const metric = { name: family.name, get: () => family };
    registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
  }
  return registry.metrics();
}

function toFamily({ name, help, labels, read }: Gauge): Family {
  const values: Sample[] = [];
  try {
    read((value, ...texts) => {
      if (values.length >= mostGaugeSeries || !Number.isFinite(value)) return;
      const named = Object.fromEntries(labels.map((label, i) => [label, texts[i] ?? ""]));
      values.push({ labels: named, value });
    });
  } catch {
    // One reading that fails must not hide the others.
  }
  return { name, help, type: name.endsWith("_total") ? "counter" : "gauge", values };
}
