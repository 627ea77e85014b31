import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import type { CaptureMode } from "@heddle/capture";
import { type Diagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config/yaml";
import { isQuantity, quantityValue } from "./kubernetes-quantity.ts";
import { DEFAULT_REVISION } from "./should-inject.ts";

/** How a mesh puts sidecars into pods. A pod's annotations say otherwise for that pod. */
export interface InjectionSettings {
  /** Of the sidecar and of the capture init container: `heddle/heddle:<version>`. */
  readonly image: string;
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never" | undefined;
  readonly trustDomain: string;
  /** Where the control plane runs. */
  readonly namespace: string;
  /** HOST:PORT, xDS and the certificate authority over TLS. */
  readonly controlPlane: string;
  readonly revision: string;
  /** A CNI plugin sets the rules of capture: pods need no init container for it, and nobody in them NET_ADMIN. */
  readonly cni: boolean;
  readonly capture: CaptureMode;
  readonly captureDns: boolean;
  /** The sidecar is an init container with `restartPolicy: Always` (Kubernetes 1.29 on); else a container beside the application's. */
  readonly nativeSidecar: boolean;
  /** Of a sidecar that is a plain container: the application's containers start when it is ready. */
  readonly holdApplication: boolean;
  /** The application's probes go through the sidecar's health port, so that the kubelet, which has no identity, passes under STRICT. */
  readonly rewriteProbes: boolean;
  readonly logLevel: LogLevelName;
  /** Traffic workers. */
  readonly concurrency: number;
  readonly cpuRequest: string;
  readonly memoryRequest: string;
  /** "": none. Without a limit of CPU a sidecar under load is slowed by its neighbours, not by its quota. */
  readonly cpuLimit: string;
  readonly memoryLimit: string;
  /** How long requests may go on after SIGTERM. */
  readonly drainSeconds: number;
}

const CAPTURE_MODES = ["redirect", "tproxy", "none"] as const satisfies readonly CaptureMode[];
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "off"] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** Of this package. A constant, since a bundle has no package.json beside it; a test holds the two together. */
export const VERSION = "0.1.0";

export const DEFAULT_INJECTION_SETTINGS: InjectionSettings = {
  image: `heddle/heddle:${VERSION}`,
  imagePullPolicy: undefined,
  trustDomain: "cluster.local",
  namespace: "heddle-system",
  controlPlane: "heddle-control-plane.heddle-system.svc:15012",
  revision: DEFAULT_REVISION,
  cni: false,
  capture: "redirect",
  captureDns: true,
  nativeSidecar: true,
  holdApplication: true,
  rewriteProbes: true,
  logLevel: "info",
  concurrency: 1,
  cpuRequest: "100m",
  memoryRequest: "160Mi",
  cpuLimit: "",
  memoryLimit: "512Mi",
  drainSeconds: 5,
};

/** What may stand in one place, and how it is called in a message. */
interface Rule {
  readonly accepts: (value: Json) => boolean;
  readonly allowed: string;
}

const text = (pattern: RegExp, allowed: string): Rule => ({
  accepts: (value) => typeof value === "string" && value.length <= 512 && pattern.test(value),
  allowed,
});
const oneOf = (...allowed: readonly string[]): Rule => ({
  accepts: (value) => typeof value === "string" && allowed.includes(value),
  allowed: allowed.join(", "),
});
const bool: Rule = { accepts: (value) => typeof value === "boolean", allowed: "true and false" };
const whole = (min: number, max: number): Rule => ({
  accepts: (value) => typeof value === "number" && Number.isInteger(value) && value >= min && value <= max,
  allowed: `${min} to ${max}`,
});
const quantity: Rule = {
  accepts: (value) => typeof value === "string" && isQuantity(value) && quantityValue(value) > 0,
  allowed: 'a quantity above 0, such as "100m" or "128Mi"',
};
const quantityOrNone: Rule = {
  accepts: (value) => value === "" || quantity.accepts(value),
  allowed: `${quantity.allowed}, or "" for none`,
};

/** `registry.example:5000/team/heddle:1.2@sha256:…`: what the OCI distribution spec and Docker's reference grammar allow. */
export const IMAGE_PATTERN =
  /^(?=.{1,512}$)(?:[\w.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?$/;
/** RFC 1123. */
export const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const RULES: Readonly<Record<keyof InjectionSettings, Rule>> = {
  image: text(IMAGE_PATTERN, "an image's name, such as heddle/heddle:0.1.0"),
  imagePullPolicy: oneOf("Always", "IfNotPresent", "Never"),
  trustDomain: text(/^[a-z0-9._-]{1,255}$/, "a trust domain: lower-case letters, digits, dots, dashes, underscores"),
  namespace: text(DNS_LABEL, "a namespace's name"),
  controlPlane: text(/^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, "HOST:PORT"),
  revision: text(DNS_LABEL, "lower-case letters, digits and dashes, at most 63"),
  cni: bool,
  capture: oneOf(...CAPTURE_MODES),
  captureDns: bool,
  nativeSidecar: bool,
  holdApplication: bool,
  rewriteProbes: bool,
  logLevel: oneOf(...LOG_LEVELS),
  concurrency: whole(1, 256),
  cpuRequest: quantity,
  memoryRequest: quantity,
  cpuLimit: quantityOrNone,
  memoryLimit: quantityOrNone,
  drainSeconds: whole(0, 86_400),
};

/** Settings are a page; what is larger is something else. */
const LIMITS = { maxBytes: 64 * 1024, maxDepth: 8, maxValues: 200 };

/**
 * Reads settings from one document of YAML or JSON, a flat map of the names of `InjectionSettings`; what is absent is as in
 * `base`. An unknown name is an error. On failure every fault, with its place.
 */
export function readInjectionSettings(
  file: string,
  content: string,
  base: InjectionSettings = DEFAULT_INJECTION_SETTINGS,
): Result<InjectionSettings, readonly Diagnostic[]> {
  const documents = parseYamlDocuments(file, content, LIMITS);
  if (!documents.ok) return documents;
  const [document, another] = documents.value;
  if (document === undefined) return ok(base);
  if (another !== undefined) return err([another.diagnostic("", "found a second document, allowed is one")]);
  if (!isJsonObject(document.json)) return err([document.diagnostic("", "found no map, allowed is a map of settings")]);
  const faults: Diagnostic[] = [];
  const settings: Record<string, Json | undefined> = { ...base };
  for (const [name, value] of Object.entries(document.json)) {
    const fault = faultOf(document, name, value);
    if (fault === undefined) settings[name] = value;
    else faults.push(fault);
  }
  if (faults.length > 0) return err(faults);
  const read = settings as unknown as InjectionSettings;
  const over = limitsBelowRequests(read);
  return over === undefined ? ok(read) : err([document.diagnostic(over.path, over.message)]);
}

function faultOf(document: YamlDocument, name: string, value: Json): Diagnostic | undefined {
  const rule = Object.hasOwn(RULES, name) ? RULES[name as keyof InjectionSettings] : undefined;
  if (rule === undefined) return document.diagnostic(name, `is no setting; there are ${Object.keys(RULES).join(", ")}`);
  return rule.accepts(value)
    ? undefined
    : document.diagnostic(name, `found ${JSON.stringify(value)}, allowed are ${rule.allowed}`);
}

/** What the API server would refuse in every pod. */
export function limitsBelowRequests(
  settings: Pick<InjectionSettings, "cpuRequest" | "cpuLimit" | "memoryRequest" | "memoryLimit">,
): { readonly path: "cpuLimit" | "memoryLimit"; readonly message: string } | undefined {
  for (const what of ["cpu", "memory"] as const) {
    const [request, limit] = [settings[`${what}Request`], settings[`${what}Limit`]];
    if (limit !== "" && quantityValue(limit) < quantityValue(request))
      return { path: `${what}Limit`, message: `found ${limit}, allowed is at least the request, ${request}` };
  }
  return undefined;
}
