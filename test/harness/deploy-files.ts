import type { Json, JsonObject } from "@heddle/base";
import {
  CNI_NAME,
  DEFAULT_INSTALL_SETTINGS,
  type InstallSettings,
  installObjects,
  manifestText,
  tagObjects,
} from "@heddle/inject/install";

/*
 * The chart's templates are what `heddle install` prints, with values of the chart where settings stand: made by it, so that the two
 * cannot differ.
 */

const LIMIT = 100;
/** Settings that are places for values: a text that stands for `{{ .Values.NAME }}`. */
const place = (name: string): string => `@@${name}@@`;
const REPLICAS = 1_000_000;
const HEAD = "{{- /* Written by scripts/print-deploy.ts from what heddle install prints. */ -}}\n";

/** Path in the chart's folder, and content. */
export function chartFiles(): ReadonlyMap<string, string> {
  const injection = {
    ...DEFAULT_INSTALL_SETTINGS.injection,
    namespace: place("namespace"),
    image: place("image"),
    trustDomain: place("trustDomain"),
    controlPlane: `heddle-control-plane.${place("namespace")}.svc:15012`,
    cni: place("injection.cni") as never,
    logLevel: place("injection.logLevel") as never,
    cpuRequest: place("injection.cpuRequest"),
    memoryRequest: place("injection.memoryRequest"),
    cpuLimit: place("injection.cpuLimit"),
    memoryLimit: place("injection.memoryLimit"),
  };
  const settings: InstallSettings = {
    ...DEFAULT_INSTALL_SETTINGS,
    injection,
    replicas: REPLICAS,
    caSecret: place("caSecret"),
    store: place("store"),
  };
  const objects = installObjects(settings);
  const files = new Map<string, string>();
  for (const object of objects) {
    const kind = object["kind"] as string;
    const isDefinition = kind === "CustomResourceDefinition";
    const path = isDefinition ? `crds/${nameOf(object)}.yaml` : `templates/${fileOf(kind)}.yaml`;
    const condition =
      nameOf(object) === CNI_NAME ? "injection.cni" : kind === "Namespace" ? "createNamespace" : undefined;
    const text = condition === undefined ? manifestText([object]) : onlyIf(condition, manifestText([object]));
    files.set(path, (files.get(path) ?? (isDefinition ? "" : HEAD)) + (isDefinition ? text : template(text)));
  }
  const tag = { tag: TAG, revision: injection.revision, namespace: place("namespace") };
  files.set("templates/tags.yaml", HEAD + forEach("tags", template(manifestText(tagObjects(tag)))));
  return files;
}

const TAG = "@@tag@@";

/** Within, `.` is the item. */
function forEach(value: string, text: string): string {
  const inside = text.replaceAll("{{ .Values.tag }}", "{{ . }}").replaceAll("{{ .Values.", "{{ $.Values.");
  return `{{- range .Values.${value} }}\n${inside}{{- end }}\n`;
}

function onlyIf(value: string, text: string): string {
  return `{{- if .Values.${value} }}\n${text}{{- end }}\n`;
}

function nameOf({ metadata }: JsonObject): string {
  return (metadata as JsonObject)["name"] as string;
}

/** MutatingWebhookConfiguration is mutating-webhook-configuration. */
function fileOf(kind: string): string {
  return kind.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}

function template(text: string): string {
  return text
    .replace(
      /^( *)- "--store"\n *- .*@@store@@.*\n/m,
      '$1{{- if .Values.store }}\n$1- "--store"\n$1- {{ .Values.store | quote }}\n$1{{- end }}\n',
    )
    .replaceAll(String(REPLICAS), "{{ .Values.replicas }}")
    .replaceAll('"@@injection.cni@@"', "{{ .Values.injection.cni }}")
    .replaceAll(/@@([\w.]+)@@/g, "{{ .Values.$1 }}");
}

/** Enough of Helm for these templates: values, `quote`, conditions and lists over whole lines, comments. Throws on anything else. */
export function renderTemplate(text: string, values: Json): string {
  const unrolled = text.replaceAll(
    /^\{\{- range \.Values\.(\w+) \}\}\n(.*?)^\{\{- end \}\}\n/gms,
    (_, name: string, inside: string) =>
      ((values as JsonObject)[name] as readonly string[])
        .map((item) => inside.replaceAll("{{ . }}", item).replaceAll("{{ $.Values.", "{{ .Values."))
        .join(""),
  );
  const look = (path: string): Json =>
    path.split(".").reduce<Json>((value, key) => (value as JsonObject)[key]!, values);
  let shown = true;
  const lines: string[] = [];
  for (const line of unrolled.split("\n")) {
    const condition = /^\s*\{\{- if \.Values\.([\w.]+) \}\}$/.exec(line)?.[1];
    if (condition !== undefined) shown = Boolean(look(condition));
    else if (/^\s*\{\{- end \}\}$/.test(line)) shown = true;
    else if (shown && !/^\{\{- \/\*.*\*\/ -\}\}$/.test(line)) lines.push(line);
  }
  return lines
    .join("\n")
    .replaceAll(/\{\{ \.Values\.([\w.]+)( \| quote)? \}\}/g, (_, path: string, quote?: string) => {
      const value = look(path);
      return quote === undefined && typeof value === "string" ? value : JSON.stringify(value);
    })
    .replace(/\{\{.{0,60}/s, (rest) => {
      throw new Error(`more of Helm than this knows: ${rest.slice(0, LIMIT)}`);
    });
}
