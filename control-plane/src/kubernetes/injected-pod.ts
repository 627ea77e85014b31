import { isIP } from "node:net";
import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { type CaptureSettings, captureSettingsFromAnnotations, DEFAULT_CAPTURE_SETTINGS } from "@heddle/capture";
import type { Diagnostic } from "@heddle/config";
import { INJECTED_CONTAINER, INJECTED_LABEL, workloadNameOf } from "@heddle/inject";
import type { CaptureMode, Labels } from "@heddle/mesh";
import type { KubeObject } from "./reflector.ts";

/** What is kept of a pod with a sidecar: there may be ten thousand. */
export interface InjectedPod {
  readonly namespace: string;
  readonly name: string;
  readonly workload: string;
  readonly labels: Labels;
  /** None: it has not begun, or it has ended and others may have its address. */
  readonly addresses: readonly string[];
  readonly serviceAccount: string;
  readonly node: string;
  /** Undefined: its sidecar is not captured for. */
  readonly capture: CaptureMode | undefined;
  /** TCP ports that its containers declare. */
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  /** Whether what others send to that port comes to the sidecar. */
  readonly isCaptured: (port: number) => boolean;
  /** Ports that are carried as bytes, whatever is spoken there. */
  readonly opaque: readonly number[];
  readonly diagnostics: readonly Diagnostic[];
}

const OPAQUE_PORTS = "heddle.dev/opaque-ports";

/** Undefined: the pod has no sidecar. */
export function readInjectedPod({ json, key }: KubeObject): InjectedPod | undefined {
  const [metadata, spec, status] = [json["metadata"], json["spec"], json["status"]].map(objectOf);
  if (metadata === undefined || spec === undefined || status === undefined) return undefined; // there are three
  const labels = textsOf(metadata["labels"]);
  if (labels[INJECTED_LABEL] !== "true") return undefined;
  const annotations = textsOf(metadata["annotations"]);
  const settings = captureSettingsFromAnnotations(annotations);
  const capture = settings.ok ? settings.value : DEFAULT_CAPTURE_SETTINGS;
  const place = { file: `kubernetes Pod ${key}`, line: 0, column: 0 };
  return {
    namespace: textOf(metadata["namespace"]),
    name: textOf(metadata["name"]),
    workload: workloadNameOf(json),
    labels,
    addresses: addressesOf(spec, status),
    serviceAccount: textOf(spec["serviceAccountName"]) || "default",
    node: textOf(spec["nodeName"]),
    capture: capture.mode === "none" ? undefined : capture.mode,
    ports: portsOf(spec),
    isCaptured: inboundOf(capture),
    opaque: opaquePortsOf(annotations[OPAQUE_PORTS]),
    diagnostics: settings.ok
      ? []
      : settings.error.map(({ path, found, allowed }) => ({
          ...place,
          path,
          severity: "error" as const,
          message: `found ${JSON.stringify(found)}, allowed: ${allowed}`,
        })),
  };
}

/** The address of a pod that has ended is the next one's. */
function addressesOf(spec: JsonObject, status: JsonObject): readonly string[] {
  const phase = status["phase"];
  if (spec["hostNetwork"] === true || phase === "Succeeded" || phase === "Failed") return [];
  const many = listOf(status["podIPs"]).map((one) => textOf(objectOf(one)["ip"]));
  return (many.length > 0 ? many : [textOf(status["podIP"])]).filter((address) => isIP(address) !== 0);
}

/** Init containers that stay (native sidecars) serve too; the sidecar's own ports are none of the application's. */
function portsOf(spec: JsonObject): readonly { readonly name: string; readonly port: number }[] {
  const staying = listOf(spec["initContainers"]).filter((one) => objectOf(one)["restartPolicy"] === "Always");
  return [...listOf(spec["containers"]), ...staying].map(objectOf).flatMap((container) =>
    container["name"] === INJECTED_CONTAINER
      ? []
      : listOf(container["ports"])
          .map(objectOf)
          .flatMap(({ name, containerPort, protocol = "TCP" }) =>
            protocol === "TCP" && typeof containerPort === "number"
              ? [{ name: textOf(name), port: containerPort }]
              : [],
          ),
  );
}

const EVERYTHING = (): boolean => true;

function inboundOf({ mode, inbound: { includePorts, excludePorts } }: CaptureSettings): InjectedPod["isCaptured"] {
  if (mode === "none") return () => false;
  if (includePorts === "*" && excludePorts !== "*" && excludePorts.length === 0) return EVERYTHING;
  const has = (ports: typeof includePorts, port: number): boolean =>
    ports === "*" || ports.some(({ first, last }) => first <= port && port <= last);
  return (port) => has(includePorts, port) && !has(excludePorts, port);
}

function opaquePortsOf(text: string | undefined): readonly number[] {
  return (text ?? "")
    .split(",")
    .map((port) => Number(port.trim()))
    .filter((port) => Number.isInteger(port) && port > 0 && port <= 65_535);
}

function objectOf(json: Json | undefined): JsonObject {
  return isJsonObject(json) ? json : {};
}

function listOf(json: Json | undefined): readonly Json[] {
  return Array.isArray(json) ? (json as readonly Json[]) : [];
}

function textOf(json: Json | undefined): string {
  return typeof json === "string" ? json : "";
}

function textsOf(json: Json | undefined): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const [key, value] of Object.entries(objectOf(json))) if (typeof value === "string") texts[key] = value;
  return texts;
}
