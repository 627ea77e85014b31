import type { Result } from "@heddle/base";
import type { Labels } from "@heddle/telemetry";

/** Where the labels of namespaces are had: of Kubernetes, by what is watched there. */
export interface NamespaceLabels {
  /**
   * Undefined: there is no such namespace. The error says why nobody knows now; it comes within `withinMs`. Never rejects.
   */
  labelsOf(namespace: string, withinMs: number): Promise<Result<Labels | undefined, string>>;
}
