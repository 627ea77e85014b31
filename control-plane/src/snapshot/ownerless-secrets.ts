import type { Diagnostic } from "@heddle/config";
import type { RawResource } from "../source/raw-resource.ts";

/** Of a mesh with an authority: the raw secrets that no node gets, since they are for nobody in particular (node-rights.ts). */
export function ownerlessSecrets(resources: readonly RawResource[], secretTypeUrl: string): readonly Diagnostic[] {
  return resources
    .filter(({ typeUrl, nodes }) => typeUrl === secretTypeUrl && nodes.cluster === undefined)
    .map(({ name, origin: { file, line, column, path } }) => ({
      severity: "warning",
      file,
      line,
      column,
      path,
      message: `the secret "${name}" is for nobody, and goes to nobody; allowed: for: { node.cluster: NAMESPACE/WORKLOAD } or NAMESPACE/*`,
    }));
}
