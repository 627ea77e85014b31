import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { applyCapture, type BackendChoice, captureDifference } from "../capture/capture-rules.ts";
import { toolbox } from "../capture/tool.ts";
import type { KubeApi, KubePod } from "./kube-api.ts";
import { captureOfPod } from "./plugin.ts";

/**
 * What is done with a pod of this node that runs without its rules. `rules`: they are set now. What it has open stays as it is; what comes is
 * captured. `label`: `heddle.dev/capture-missing=true`. `delete`: its controller makes another.
 */
export const REPAIRS = ["rules", "label", "delete", "off"] as const;
export type Repair = (typeof REPAIRS)[number];

export interface RepairOptions {
  readonly api: KubeApi;
  readonly node: string;
  readonly repair: Repair;
  readonly backend: BackendChoice;
  readonly excludeNamespaces: readonly string[];
  /** /proc of the node: processes of all pods are to be seen there. */
  readonly procDir: string;
  readonly log: (line: string) => void;
}

/** The container whose presence means that the pod sets its rules itself. */
const CAPTURE_CONTAINER = "heddle-capture";

/**
 * Looks at every injected pod of the node once: a pod that started while the plugin was not in the chain has no rules. One pod's trouble is said
 * and holds up no other.
 */
export async function repairPods(options: RepairOptions): Promise<void> {
  const { api, node, repair, excludeNamespaces, procDir, log } = options;
  if (repair === "off") return;
  const pods = (await api.injectedPods(node)).filter((pod) => isOurs(pod, excludeNamespaces));
  const namespaces = pods.length === 0 ? new Map<string, string>() : networkNamespaces(procDir);
  for (const pod of pods) {
    const netns = namespaces.get(pod.metadata.uid);
    if (netns === undefined) continue; // nothing of it runs here yet
    try {
      await repairPod(pod, netns, options);
    } catch (error) {
      log(`error: pod ${pod.metadata.namespace}/${pod.metadata.name}: ${(error as Error).message}`);
    }
  }
}

async function repairPod(pod: KubePod, netns: string, { api, repair, backend, log }: RepairOptions): Promise<void> {
  const capture = captureOfPod(pod, undefined);
  if (capture === undefined) return;
  const tools = toolbox(netns);
  const difference = captureDifference(capture, tools);
  // Which servers DNS is captured of was known to the plugin alone: other settings are rules, and none at all is what is mended.
  if (difference === undefined || !difference.startsWith("no rules are in force")) return;
  const name = `pod ${pod.metadata.namespace}/${pod.metadata.name}`;
  if (repair === "rules") {
    applyCapture(capture, backend, tools);
    log(`${name} ran without its rules: they are set`);
  } else if (repair === "label") {
    if (pod.metadata.labels?.["heddle.dev/capture-missing"] === "true") return;
    await api.label(pod, { "heddle.dev/capture-missing": "true" });
    log(`${name} runs without its rules: it is labelled`);
  } else {
    await api.delete(pod);
    log(`${name} ran without its rules: it is deleted`);
  }
}

function isOurs({ metadata, spec, status }: KubePod, excludeNamespaces: readonly string[]): boolean {
  const setsItself = spec?.initContainers?.some(({ name }) => name === CAPTURE_CONTAINER) ?? false;
  const isOver = status?.phase === "Succeeded" || status?.phase === "Failed";
  return !setsItself && !isOver && spec?.hostNetwork !== true && !excludeNamespaces.includes(metadata.namespace);
}

/**
 * A file of the network namespace of each pod, by the pod's uid: it stands in the control group of each of its processes
 * ("…/kubepods-burstable-pod1b4f_….slice/…" by systemd, with underscores; "…/pod1b4f-…/…" otherwise).
 */
export function networkNamespaces(procDir: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const pid of readdirSync(procDir)) {
    if (!/^[0-9]+$/.test(pid)) continue;
    let groups: string;
    try {
      groups = readFileSync(join(procDir, pid, "cgroup"), "utf8");
    } catch {
      continue; // it has ended
    }
    const uid = /pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})/.exec(groups)?.[1]?.replaceAll("_", "-");
    if (uid !== undefined && !found.has(uid)) found.set(uid, join(procDir, pid, "ns/net"));
  }
  return found;
}
