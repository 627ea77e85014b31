import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import {
  CAPTURE_OPTIONS,
  type CaptureSettings,
  captureSettingsFromAnnotations,
  DEFAULT_CAPTURE_SETTINGS,
} from "@heddle/capture";
import { formatDiagnostic, parseYamlDocuments } from "@heddle/config/yaml";
import { annotationPath, type InjectionFault } from "./injection-fault.ts";
import { IMAGE_PATTERN, type InjectionSettings, LOG_LEVELS, limitsBelowRequests } from "./injection-settings.ts";
import { isQuantity, quantityValue } from "./kubernetes-quantity.ts";
import { HEDDLE_PREFIX } from "./names.ts";

/** What injects one pod: the mesh's settings, with what the pod's annotations say instead. */
export interface PodSettings extends InjectionSettings {
  /** A part of a pod's spec that is merged over what injection adds. */
  readonly template: JsonObject | undefined;
  readonly opaquePorts: readonly string[];
  /** What the init container, or the CNI plugin, is to redirect. */
  readonly rules: CaptureSettings;
}

/** Reads one annotation's text into a setting. A text: what is allowed instead. */
type Reader = (text: string) => Result<Partial<PodSettings>, string>;

const bool =
  (setting: "nativeSidecar" | "rewriteProbes"): Reader =>
  (text) =>
    text === "true" || text === "false" ? ok({ [setting]: text === "true" }) : err('allowed are "true" and "false"');

const quantity =
  (setting: "cpuRequest" | "cpuLimit" | "memoryRequest" | "memoryLimit"): Reader =>
  (text) =>
    isQuantity(text) && quantityValue(text) > 0
      ? ok({ [setting]: text })
      : err('allowed is a quantity above 0, such as "100m" or "128Mi"');

/** Somebody else reads it. */
const elsewhere: Reader = () => ok({});

/** Annotations of a pod under `heddle.dev/`, by their names behind that, beside those of capture. */
const READERS: Readonly<Record<string, Reader>> = {
  inject: elsewhere,
  rev: elsewhere,
  status: elsewhere,
  workload: (text) =>
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text)
      ? ok({})
      : err("allowed are letters, digits, dots, dashes and underscores, at most 253"),
  "opaque-ports": (text) => {
    const ports = text.split(",").map((port) => port.trim());
    if (text.trim() === "") return ok({ opaquePorts: [] });
    return ports.every((port) => /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535)
      ? ok({ opaquePorts: ports })
      : err("allowed are ports, 1 to 65535, with commas between");
  },
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

/** Behind `heddle.dev/`, every annotation of a pod that means something. Any other is an error: it would be a misspelt one. */
const KNOWN: readonly string[] = [
  ...new Set([...CAPTURE_OPTIONS.flatMap(({ annotation }) => annotation ?? []), ...Object.keys(READERS)]),
];

/** Annotations of a pod that mean something to Heddle. */
export const POD_ANNOTATIONS: readonly string[] = KNOWN.map((name) => HEDDLE_PREFIX + name);

/** An overlay is a few containers' fields. */
const TEMPLATE_LIMITS = { maxBytes: 64 * 1024, maxDepth: 30, maxValues: 5_000 };

/** Reads a pod's annotations over the mesh's settings. On failure every fault. */
export function readPodAnnotations(
  annotations: JsonObject,
  settings: InjectionSettings,
): Result<PodSettings, readonly InjectionFault[]> {
  const faults: InjectionFault[] = [];
  const rules = captureOf(annotations, settings, faults);
  const captured = { capture: rules.mode, captureDns: rules.ports.dns !== undefined, rules };
  let read: PodSettings = { ...settings, ...captured, template: undefined, opaquePorts: [] };
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(HEDDLE_PREFIX)) continue;
    const fault = (message: string): unknown => faults.push({ path: annotationPath(name), message });
    const short = name.slice(HEDDLE_PREFIX.length);
    const reader = Object.hasOwn(READERS, short) ? READERS[short] : undefined;
    if (reader === undefined) {
      if (!KNOWN.includes(short)) fault(`is no annotation of Heddle; there are ${KNOWN.join(", ")}`);
    } else if (typeof value !== "string") fault(`found ${shown(value)}, allowed is text (put it in quotes)`);
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

function captureOf(annotations: JsonObject, settings: InjectionSettings, faults: InjectionFault[]): CaptureSettings {
  const { ports } = DEFAULT_CAPTURE_SETTINGS;
  const read = captureSettingsFromAnnotations(annotations as Record<string, string>, {
    ...DEFAULT_CAPTURE_SETTINGS,
    mode: settings.capture,
    ports: { ...ports, dns: settings.captureDns ? ports.dns : undefined },
  });
  if (read.ok) return read.value;
  for (const { path, found, allowed } of read.error)
    faults.push({ path, message: `found ${JSON.stringify(found)}, allowed: ${allowed}` });
  return DEFAULT_CAPTURE_SETTINGS;
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
