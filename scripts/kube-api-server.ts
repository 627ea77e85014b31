import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/*
 * A real Kubernetes API server and kubectl for tests, built with Go from the module in test/kube-apiserver into a cache outside
 * of the tree. `npm run kube-apiserver`: half an hour and 4 GB of Go's build cache on two cores, once; nothing else builds it.
 */

const module = join(dirname(import.meta.dirname), "test/kube-apiserver");
const VERSION = /k8s\.io\/kubernetes (v[\d.]+)/.exec(readFileSync(join(module, "go.mod"), "utf8"))?.[1] ?? "";
const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "heddle", `kube-apiserver-${VERSION}`);
const BUILD_TIMEOUT_MS = 90 * 60_000;

/** Whether they are there or not. */
export const kubeApiServerProgram = join(folder, "kube-apiserver");
export const kubectlProgram = join(folder, "kubectl");

if (import.meta.main) for (const program of ["kube-apiserver", "kubectl"]) build(program);

function build(program: string): void {
  const target = join(folder, program);
  if (existsSync(target)) {
    console.log(`${target} is there already`);
    return;
  }
  mkdirSync(folder, { recursive: true });
  const [major = "", minor = ""] = VERSION.slice(1).split(".");
  const variables = { gitVersion: VERSION, gitMajor: major, gitMinor: minor };
  const stamps = Object.entries(variables).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  const flags = ["-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", `-s -w ${stamps.join(" ")}`];
  console.log(`building ${program} ${VERSION}: this takes long`);
  const began = performance.now();
  const { status, error } = spawnSync(
    "go",
    ["build", ...flags, "-o", `${target}.new`, `k8s.io/kubernetes/cmd/${program}`],
    {
      cwd: module,
      stdio: "inherit",
      timeout: BUILD_TIMEOUT_MS,
      env: { ...process.env, CGO_ENABLED: "0" },
    },
  );
  if (status !== 0) throw new Error(`go build of ${program} ended with ${error?.message ?? status ?? "no answer"}`);
  renameSync(`${target}.new`, target);
  console.log(`${target}, in ${Math.round((performance.now() - began) / 1000)} s`);
}
