import { buildGoTool, type GoTool, goToolProgram } from "./go-tool.ts";

/*
 * Helm for tests, built with Go from the module in test/helm into a cache outside of the tree. `npm run helm`: two minutes of CPU
 * where Go has compiled a Kubernetes API server before, some more elsewhere; nothing else builds it.
 */

const HELM: GoTool = {
  folder: "helm",
  module: "helm.sh/helm/v3",
  main: "helm.sh/helm/v3/cmd/helm",
  variables: (version) => ({ "helm.sh/helm/v3/internal/version.version": version }),
};

/** Whether it is there or not. */
export const helmProgram = goToolProgram(HELM);

if (import.meta.main) buildGoTool(HELM);
