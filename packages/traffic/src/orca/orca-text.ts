import { NAMED_METRICS, PLAIN_METRICS, UTILIZATION } from "./metric-names.ts";
import type { OrcaReport } from "./orca-report.ts";
import { numberOfText, putMetric } from "./put-metric.ts";

/**
 * Envoy's native form: `cpu_utilization=0.3,mem_utilization=0.8,named_metrics.queue=12`. A colon does as well. A name that comes twice
 * or that nobody knows breaks it; so do a request's cost and anything negative, which have no such form.
 */
export function readOrcaText(text: string): OrcaReport | undefined {
  const report = new Map<string, number>();
  for (const item of text.split(",")) {
    const pair = item.trim();
    if (pair === "") continue;
    const end = pair.search(/[=:]/);
    const name = pair.slice(0, Math.max(0, end));
    if (!isKnown(name) || report.has(name)) return undefined;
    const value = numberOfText(pair.slice(end + 1).trim());
    if (value < 0 || !putMetric(report, name, value)) return undefined;
  }
  return report;
}

function isKnown(name: string): boolean {
  return PLAIN_METRICS.has(name) || name.startsWith(NAMED_METRICS) || name.startsWith(UTILIZATION);
}
