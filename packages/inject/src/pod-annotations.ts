import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { formatDiagnostic, parseYamlDocuments } from "@heddle/config/yaml";
import { annotationPath, type InjectionFault } from "./injection-fault.ts";
import {
  CAPTURE_MODES,
  IMAGE_PATTERN,
  type InjectionSettings,
  LOG_LEVELS,
  limitsBelowRequests,
} from "./injection-settings.ts";
import { isQuantity, quantityValue } from "./kubernetes-quantity.ts";
import { HEDDLE_PREFIX } from "./names.ts";

/** What injects one pod: the mesh's settings, with what the pod's annotations say instead. */
export interface PodSettings extends InjectionSettings {
  /** A part of a pod's spec that is merged over what injection adds. */
  readonly template: JsonObject | undefined;
  readonly opaquePorts: readonly string[];
}

/** Reads one annotation's text into a setting. A text: what is allowed instead. */
type Reader = (text: string) => Result<Partial<PodSettings>, string>;

const bool =
  (setting: "nativeSidecar" | "rewriteProbes" | "captureDns"): Reader =>
  (text) =>
    text === "true" || text === "false" ? ok({ [setting]: text === "true" }) : err('allowed are "true" and "false"');

const quantity =
  (setting: "cpuRequest" | "cpuLimit" | "memoryRequest" | "memoryLimit"): Reader =>
  (text) =>
    isQuantity(text) && quantityValue(text) > 0
      ? ok({ [setting]: text })
      : err('allowed is a quantity above 0, such as "100m" or "128Mi"');

/** Nothing of it is for the sidecar's own container. `packages/capture` reads and checks it. */
const forCapture: Reader = () => ok({});

/** Every annotation of a pod under `heddle.dev/`, by its name behind that. Any other is an error: it would be a misspelt one. */
const READERS: Readonly<Record<string, Reader>> = {
  inject: forCapture, // `shouldInject` has read it
  rev: forCapture,
  status: forCapture,
  workload: (text) =>
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text)
      ? ok({})
      : err("allowed are letters, digits, dots, dashes and underscores, at most 253"),
  "include-inbound-ports": forCapture,
  "exclude-inbound-ports": forCapture,
  "include-outbound-ports": forCapture,
  "exclude-outbound-ports": forCapture,
  "include-outbound-cidrs": forCapture,
  "exclude-outbound-cidrs": forCapture,
  "opaque-ports": (text) => {
    const ports = text.split(",").map((port) => port.trim());
    if (text.trim() === "") return ok({ opaquePorts: [] });
    return ports.every((port) => /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535)
      ? ok({ opaquePorts: ports })
      : err("allowed are ports, 1 to 65535, with commas between");
  },
  capture: (text) => {
    const mode = CAPTURE_MODES.find((known) => known === text);
    return mode === undefined ? err(`allowed are ${CAPTURE_MODES.join(", ")}`) : ok({ capture: mode });
  },
  "capture-dns": bool("captureDns"),
  "proxy-cpu-request": quantity("cpuRequest"),
  "proxy-cpu-limit": quantity("cpuLimit"),
  "proxy-memory-request": quantity("memoryRequest"),
  "proxy-memory-limit": quantity("memoryLimit"),
  "proxy-log-level": (text) => {
    const level = LOG_LEVELS.find((known) => known === text);
    return level === undefined ? err(`allowed are ${LOG_LEVELS.join(", ")}`) : ok({ logLevel: level });
  },
  "proxy-concurrency": (text) =>
    /^[1-9]\d{0,2}$/.test(text) && Number(text) <= 256
      ? ok({ concurrency: Number(text) })
      : err("allowed are 1 to 256"),
  "proxy-image": (text) =>
    IMAGE_PATTERN.test(text) ? ok({ image: text }) : err("allowed is an image's name, such as heddle/heddle:0.1.0"),
  "native-sidecar": bool("nativeSidecar"),
  "rewrite-probes": bool("rewriteProbes"),
  template: readTemplate,
};

/** Annotations of a pod that mean something to Heddle. */
export const POD_ANNOTATIONS: readonly string[] = Object.keys(READERS).map((name) => HEDDLE_PREFIX + name);

/** An overlay is a few containers' fields. */
const TEMPLATE_LIMITS = { maxBytes: 64 * 1024, maxDepth: 30, maxValues: 5_000 };

/** Reads a pod's annotations over the mesh's settings. On failure every fault. */
export function readPodAnnotations(
  annotations: JsonObject,
  settings: InjectionSettings,
): Result<PodSettings, readonly InjectionFault[]> {
  const faults: InjectionFault[] = [];
  let read: PodSettings = { ...settings, template: undefined, opaquePorts: [] };
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(HEDDLE_PREFIX)) continue;
    const fault = (message: string): unknown => faults.push({ path: annotationPath(name), message });
    const short = name.slice(HEDDLE_PREFIX.length);
    const reader = Object.hasOwn(READERS, short) ? READERS[short] : undefined;
    if (reader === undefined) fault(`is no annotation of Heddle; there are ${Object.keys(READERS).join(", ")}`);
    else if (typeof value !== "string") fault(`found ${shown(value)}, allowed is text (put it in quotes)`);
    else {
      const change = reader(value);
      if (change.ok) read = { ...read, ...change.value };
      else fault(`found ${shown(value)}, ${change.error}`);
    }
  }
  const over = faults.length === 0 ? limitsBelowRequests(read) : undefined;
  if (over !== undefined) {
    // Whichever of the two the pod has set is the one to mend.
    const what = over.path === "cpuLimit" ? "cpu" : "memory";
    const limit = `${HEDDLE_PREFIX}proxy-${what}-limit`;
    const name = annotations[limit] === undefined ? `${HEDDLE_PREFIX}proxy-${what}-request` : limit;
    faults.push({ path: annotationPath(name), message: `the limit of ${what} is below the request: ${over.message}` });
  }
  return faults.length > 0 ? err(faults) : ok(read);
}

function readTemplate(text: string): Result<Partial<PodSettings>, string> {
  const documents = parseYamlDocuments("template", text, TEMPLATE_LIMITS);
  if (!documents.ok) return err(`allowed is YAML: ${documents.error.map(formatDiagnostic).join("; ")}`);
  const [document, another] = documents.value;
  if (another !== undefined || !isJsonObject(document?.json ?? {}))
    return err("allowed is one map, a part of a pod's spec");
  return ok({ template: (document?.json ?? {}) as JsonObject });
}

function shown(value: Json): string {
  const text = JSON.stringify(value);
  return text.length <= 100 ? text : `${text.slice(0, 100)}…`;
}
