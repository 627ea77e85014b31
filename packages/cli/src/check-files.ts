import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Diagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config/yaml";
import { checkConfiguration, type RawResource } from "@heddle/control-plane/check";
import { checkBootstrap, checkResource, sidecarResourceTypes } from "@heddle/sidecar/check";
import { filesOf, unreadable } from "./list-files.ts";

/** What was found in the files. */
export interface FilesCheck {
  /** In the order of the files, and of the lines in each. */
  readonly diagnostics: readonly Diagnostic[];
  /** Files that were read, with what they hold. */
  readonly files: readonly { readonly file: string; readonly kind: "bootstrap" | "configuration" }[];
}

/**
 * Checks files and folders (every YAML and JSON file in them) offline: Envoy bootstraps one by one, everything else as one
 * configuration, as a control plane would read it. Raw xDS resources are also asked what a sidecar says of them: why it
 * would refuse them, unless they are for Envoys, and what in them has no effect.
 */
export function checkFiles(paths: readonly string[], options: { readonly forEnvoy: boolean }): FilesCheck {
  const diagnostics: Diagnostic[] = [];
  const files: FilesCheck["files"][number][] = [];
  const configuration: { file: string; text: string }[] = [];
  for (const file of paths.flatMap((path) => filesOf(path, diagnostics))) {
    const text = read(file, diagnostics);
    if (text === undefined) continue;
    const documents = parseYamlDocuments(file, text);
    const isBootstrap = documents.ok && documents.value.some(isBootstrapDocument);
    files.push({ file, kind: isBootstrap ? "bootstrap" : "configuration" });
    if (isBootstrap) diagnostics.push(...checkBootstrap(file, text));
    else configuration.push({ file, text });
  }
  if (configuration.length > 0) {
    const checked = checkConfiguration(configuration);
    diagnostics.push(...checked.diagnostics, ...verdicts(checked.rawResources, configuration, options.forEnvoy));
  }
  const order = new Map(files.map(({ file }, index) => [file, index]));
  const place = ({ file }: Diagnostic): number => order.get(file) ?? -1;
  return {
    files,
    diagnostics: diagnostics.toSorted((a, b) => place(a) - place(b) || a.line - b.line || a.column - b.column),
  };
}

/** Top-level fields of `envoy.config.bootstrap.v3.Bootstrap` that no document of ours has. */
const BOOTSTRAP_FIELDS =
  /^(node|admin|static_?resources|dynamic_?resources|layered_?runtime|overload_?manager|cluster_?manager|stats_?config|stats_?sinks|bootstrap_?extensions)$/i;

function isBootstrapDocument({ json }: YamlDocument): boolean {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return false;
  const keys = Object.keys(json);
  return !keys.includes("kind") && !keys.includes("@type") && keys.some((key) => BOOTSTRAP_FIELDS.test(key));
}

function read(file: string, diagnostics: Diagnostic[]): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    diagnostics.push(unreadable(file, error));
    return undefined;
  }
}

function verdicts(
  resources: readonly RawResource[],
  texts: readonly { readonly file: string; readonly text: string }[],
  forEnvoy: boolean,
): Diagnostic[] {
  const documents = new Map<string, readonly YamlDocument[]>();
  const documentsOf = (file: string): readonly YamlDocument[] => {
    let known = documents.get(file);
    if (known === undefined) {
      const parsed = parseYamlDocuments(file, texts.find((one) => one.file === file)?.text ?? "");
      known = parsed.ok ? parsed.value : [];
      documents.set(file, known);
    }
    return known;
  };
  return resources.flatMap((resource) => {
    const { file, line, column, path: at } = resource.origin;
    const types = sidecarResourceTypes(resolve(dirname(file)));
    const verdict = checkResource(types, resource.typeUrl, resource.bytes);
    // The document of the file in which the resource begins: the last one that begins at or before its line.
    const document = documentsOf(file).findLast((candidate) => candidate.positionOf("").line <= line);
    const diagnostic = (severity: Diagnostic["severity"], path: string, message: string): Diagnostic =>
      document?.diagnostic(joined(at, path), message, severity) ?? { severity, file, line, column, path, message };
    if (verdict === undefined)
      return [diagnostic("warning", "", `a sidecar asks for no ${resource.typeName}; other clients may`)];
    const refused = forEnvoy ? "warning" : "error";
    return [
      ...verdict.refusals.map((problem) => {
        const { path, message } = split(problem);
        return diagnostic(refused, path, forEnvoy ? `a sidecar refuses it: ${message}` : message);
      }),
      ...verdict.unhonoured.map(({ path, note }) => diagnostic("warning", path, note)),
    ];
  });
}

/** "lb_policy: is not supported" */
function split(problem: string): { readonly path: string; readonly message: string } {
  const colon = problem.indexOf(": ");
  return colon === -1
    ? { path: "", message: problem }
    : { path: problem.slice(0, colon), message: problem.slice(colon + 2) };
}

function joined(base: string, path: string): string {
  if (base === "" || path === "") return base + path;
  return path.startsWith("[") ? base + path : `${base}.${path}`;
}
