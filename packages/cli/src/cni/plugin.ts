import {
  captureSettingsFromAnnotations,
  formatCaptureDiagnostic,
  type ResolvedCapture,
  resolveCapture,
} from "@heddle/capture";
import { BACKEND_NAMES } from "../capture/backend.ts";
import { applyCapture, type BackendChoice, captureDifference } from "../capture/capture-rules.ts";
import { capturePlace } from "../capture/place.ts";
import { CaptureFailure, toolbox } from "../capture/tool.ts";
import { KubeApi, KubeError, type KubePod } from "./kube-api.ts";
import { readKubeConfig } from "./kube-config.ts";
import {
  type CniCall,
  CniCode,
  type CniConfig,
  CniError,
  errorAnswer,
  readCall,
  readConfig,
  versionAnswer,
} from "./protocol.ts";

/** What a runtime gets back: a JSON text for stdout, which may be empty, and the exit code. */
export interface PluginAnswer {
  readonly stdout: string;
  readonly exitCode: 0 | 1;
}

/**
 * One call of the plugin (CNI 1.0 and 1.1, chained behind the plugin that makes the interface). Where it cannot learn whether a pod is to be
 * captured it fails, and the runtime tries again: a pod that starts without its rules would be open. Only namespaces that the configuration
 * excludes start without an API server.
 */
export async function runPlugin(
  env: Readonly<Record<string, string | undefined>>,
  stdin: string,
): Promise<PluginAnswer> {
  let cniVersion = "1.0.0";
  try {
    const call = readCall(env);
    if (call.command === "VERSION") return { stdout: versionAnswer(stdin), exitCode: 0 };
    const config = readConfig(stdin);
    ({ cniVersion } = config);
    return { stdout: await COMMANDS[call.command](call, config), exitCode: 0 };
  } catch (error) {
    const told = error instanceof CniError ? error : new CniError(CniCode.rulesFailed, String(error));
    return { stdout: errorAnswer(told, cniVersion), exitCode: 1 };
  }
}

const COMMANDS: Readonly<
  Record<Exclude<CniCall["command"], "VERSION">, (call: CniCall, config: CniConfig) => Promise<string>>
> = {
  async ADD(call, config) {
    const before = previous(config);
    const capture = await captureOf(call, config);
    if (capture !== undefined) {
      rules(() => applyCapture(capture, backendOf(config), toolbox(call.netns), { isNew: true }));
    }
    return JSON.stringify({ ...before, cniVersion: config.cniVersion });
  },
  async CHECK(call, config) {
    previous(config);
    const capture = await captureOf(call, config);
    if (capture === undefined) return "";
    const difference = rules(() => captureDifference(capture, toolbox(call.netns)));
    if (difference !== undefined) throw new CniError(CniCode.rulesDiffer, `capture: ${difference}`);
    return "";
  },
  /** Rules go with their namespace. Taking them away before would let the last words of the application pass in the open. */
  DEL: async () => "",
  GC: async () => "",
  async STATUS(_, config) {
    try {
      await (await api(config)).isReady();
    } catch (error) {
      throw new CniError(CniCode.notAvailable, "the API server cannot be asked", (error as Error).message);
    }
    return "";
  },
};

function previous({ prevResult }: CniConfig): Readonly<Record<string, unknown>> {
  if (prevResult === undefined)
    throw new CniError(
      CniCode.invalidConfiguration,
      "there is no prevResult: this plugin is to stand behind the one that makes the interface",
    );
  return prevResult;
}

/** The rules that this pod is to have; undefined: none. */
async function captureOf({ args }: CniCall, config: CniConfig): Promise<ResolvedCapture | undefined> {
  const [namespace, name] = [args["K8S_POD_NAMESPACE"], args["K8S_POD_NAME"]];
  if (namespace === undefined || name === undefined) return undefined; // not a pod of Kubernetes
  if (config.excludeNamespaces.includes(namespace)) return undefined;
  const pod = await askForPod(namespace, name, config);
  const uid = args["K8S_POD_UID"];
  if (uid !== undefined && uid !== pod.metadata.uid)
    throw new CniError(CniCode.tryAgainLater, `pod ${namespace}/${name}: the API server knows another of that name`);
  return captureOfPod(pod, config.dnsServers);
}

/** By label and annotations. Throws a `CniError` where they cannot be understood. */
export function captureOfPod(pod: KubePod, dnsServers: readonly string[] | undefined): ResolvedCapture | undefined {
  const { labels, annotations, namespace, name } = pod.metadata;
  if (labels?.["heddle.dev/injected"] !== "true") return undefined;
  const wrong = (details: string): CniError =>
    new CniError(CniCode.rulesFailed, `pod ${namespace}/${name}: what is to be captured is not understood`, details);
  const settings = captureSettingsFromAnnotations(annotations);
  if (!settings.ok) throw wrong(settings.error.map(formatCaptureDiagnostic).join("; "));
  const resolvConf = dnsServers?.map((server) => `nameserver ${server}\n`).join("");
  const resolved = resolveCapture(settings.value, { ...capturePlace(undefined), resolvConf });
  if (!resolved.ok) throw wrong(resolved.error);
  return resolved.value;
}

async function askForPod(namespace: string, name: string, config: CniConfig): Promise<KubePod> {
  const client = await api(config);
  try {
    return await client.pod(namespace, name);
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    const why = "whether this pod is to be captured cannot be known, and it is not started without";
    throw new CniError(CniCode.tryAgainLater, `pod ${namespace}/${name}: ${why}`, error.message);
  }
}

async function api({ kubeconfig }: CniConfig): Promise<KubeApi> {
  try {
    return new KubeApi(await readKubeConfig(kubeconfig));
  } catch (error) {
    throw new CniError(CniCode.ioFailure, "the API server cannot be asked", (error as Error).message);
  }
}

function rules<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CaptureFailure)) throw error;
    throw new CniError(CniCode.rulesFailed, "the rules could not be set", error.message);
  }
}

function backendOf({ backend }: CniConfig): BackendChoice {
  const found = (["auto", ...BACKEND_NAMES] as const).find((name) => name === backend);
  if (found === undefined)
    throw new CniError(
      CniCode.invalidConfiguration,
      `backend: found "${backend}", allowed: auto, ${BACKEND_NAMES.join(", ")}`,
    );
  return found;
}
