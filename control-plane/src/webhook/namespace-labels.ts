import type { Result } from "@heddle/base";
import type { Labels } from "@heddle/telemetry";

/** Where the labels of namespaces are had: of Kubernetes. */
export interface NamespaceLabels {
  /** As they were last seen, at once; undefined: nothing is known of it. They may be a moment old. */
  known(namespace: string): Labels | undefined;
  /**
   * As they are now. Undefined: there is no such namespace. The error says why nobody knows; it comes within `withinMs`. Never
   * rejects.
   */
  labelsOf(namespace: string, withinMs: number): Promise<Result<Labels | undefined, string>>;
}
