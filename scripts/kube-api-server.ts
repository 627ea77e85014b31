import { buildGoTool, type GoTool, goToolProgram } from "./go-tool.ts";

/*
 * A real Kubernetes API server and kubectl for tests, built with Go from the module in test/kube-apiserver into a cache outside
 * of the tree. `npm run kube-apiserver`: half an hour and 4 GB of Go's build cache on two cores, once; nothing else builds it.
 */

const MODULE = "k8s.io/kubernetes";
const [SERVER, KUBECTL] = [tool("kube-apiserver"), tool("kubectl")];

/** Whether they are there or not. */
export const kubeApiServerProgram = goToolProgram(SERVER);
export const kubectlProgram = goToolProgram(KUBECTL);

if (import.meta.main) for (const one of [SERVER, KUBECTL]) buildGoTool(one);

function tool(program: string): GoTool {
  return {
    folder: "kube-apiserver",
    module: MODULE,
    main: `${MODULE}/cmd/${program}`,
    variables(version) {
      const [major = "", minor = ""] = version.slice(1).split(".");
      return Object.fromEntries(
        Object.entries({ gitVersion: version, gitMajor: major, gitMinor: minor }).map(([name, value]) => [
          `k8s.io/component-base/version.${name}`,
          value,
        ]),
      );
    },
  };
}
