import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "@heddle/base";
import { type Diagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config/yaml";

/** `kind: Process`: how `heddle up` runs one workload on this machine. Decoded: nothing is optional. */
export interface ProcessSpec {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Who it is in the mesh: the last part of its SPIFFE ID. Its own name where the file does not say. */
  readonly serviceAccount: string;
  /** Started in the folder of the example; `node` is the Node that runs Heddle. */
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly port: {
    readonly name: string;
    readonly protocol: string /** Where the sidecar should listen; undefined: any free port. */;
    readonly wished: number | undefined;
  };
  /** A path that `--check` asks of this workload, through its sidecar. */
  readonly checkPath: string;
}

/** Reads every Process of a folder's YAML files (not of its subfolders). Every fault of every file is reported. */
export function readProcesses(folder: string): Result<readonly ProcessSpec[], readonly Diagnostic[]> {
  const processes: ProcessSpec[] = [];
  const faults: Diagnostic[] = [];
  for (const name of readdirSync(folder)
    .filter((file) => /\.ya?ml$/.test(file))
    .sort()) {
    const file = join(folder, name);
    const documents = parseYamlDocuments(file, readFileSync(file, "utf8"));
    // A file that is no YAML at all is the control plane's to report, which watches it; here it holds no process.
    if (!documents.ok) continue;
    for (const document of documents.value) {
      if ((document.json as { kind?: unknown } | null)?.kind !== "Process") continue;
      const reader = new Reader(file, document);
      const spec = readProcess(reader);
      if (reader.faults.length > 0) faults.push(...reader.faults);
      else processes.push(spec);
    }
  }
  const seen = new Set<string>();
  for (const { namespace, name } of processes) {
    if (seen.has(`${namespace}/${name}`))
      faults.push({
        severity: "error",
        file: folder,
        line: 0,
        column: 0,
        path: "",
        message: `there are two processes named ${namespace}/${name}`,
      });
    seen.add(`${namespace}/${name}`);
  }
  return faults.length > 0 ? err(faults) : ok(processes);
}

function readProcess(at: Reader): ProcessSpec {
  at.onlyFields("", ["apiVersion", "kind", "metadata", "spec"]);
  at.onlyFields("metadata", ["name", "namespace", "labels"]);
  at.onlyFields("spec", ["command", "env", "ports", "check", "serviceAccount"]);
  const version = at.text("apiVersion", "heddle.dev/v1");
  if (version !== "heddle.dev/v1") at.fault("apiVersion", `found "${version}", allowed is "heddle.dev/v1"`);
  const name = at.text("metadata.name");
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    at.fault("metadata.name", `found "${name}", allowed are lower-case letters, digits and "-", at most 63`);
  const serviceAccount = at.text("spec.serviceAccount", name);
  if (serviceAccount !== name && !ACCOUNT.test(serviceAccount))
    at.fault("spec.serviceAccount", `found "${serviceAccount}", allowed are letters, digits, ".", "_" and "-"`);
  const command = at.list("spec.command").map(String);
  if (command.length === 0) at.fault("spec.command", "the command and its arguments are missing");
  const ports = at.list("spec.ports");
  if (ports.length !== 1) at.fault("spec.ports", `found ${ports.length} ports, allowed is one`);
  at.onlyFields("spec.ports[0]", ["name", "protocol", "port"]);
  const wished = at.value("spec.ports[0].port");
  if (wished !== undefined && !(Number.isInteger(wished) && Number(wished) > 0 && Number(wished) < 65_536))
    at.fault("spec.ports[0].port", `found ${JSON.stringify(wished)}, allowed are 1 to 65535`);
  return {
    namespace: at.text("metadata.namespace", "default"),
    name,
    labels: at.texts("metadata.labels"),
    serviceAccount,
    command: command as [string, ...string[]],
    env: at.texts("spec.env"),
    port: {
      name: at.text("spec.ports[0].name", "http"),
      protocol: at.text("spec.ports[0].protocol", "http"),
      wished: wished as number | undefined,
    },
    checkPath: at.text("spec.check.path", "/"),
  };
}

/** A segment of a SPIFFE ID (SPIFFE-ID §2.2). */
const ACCOUNT = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,253}$/;

/** Takes values out of a document by path and collects what is wrong with them. */
class Reader {
  readonly faults: Diagnostic[] = [];
  readonly #file: string;
  readonly #document: YamlDocument;

  constructor(file: string, document: YamlDocument) {
    this.#file = file;
    this.#document = document;
  }

  fault(path: string, message: string): void {
    this.faults.push({ severity: "error", file: this.#file, ...this.#document.positionOf(path), path, message });
  }

  value(path: string): unknown {
    let value: unknown = this.#document.json;
    for (const step of path === "" ? [] : path.replaceAll("[", ".").replaceAll("]", "").split(".")) {
      if (typeof value !== "object" || value === null) return undefined;
      value = (value as Record<string, unknown>)[step];
    }
    return value;
  }

  text(path: string, byDefault?: string): string {
    const value = this.value(path) ?? byDefault;
    if (typeof value === "string") return value;
    this.fault(path, value === undefined ? "is missing" : `found ${JSON.stringify(value)}, allowed is text`);
    return "";
  }

  list(path: string): readonly unknown[] {
    const value = this.value(path) ?? [];
    if (Array.isArray(value)) return value;
    this.fault(path, `found ${JSON.stringify(value)}, allowed is a list`);
    return [];
  }

  texts(path: string): Readonly<Record<string, string>> {
    const value = this.value(path) ?? {};
    if (typeof value !== "object" || Array.isArray(value)) this.fault(path, "allowed is a map of texts");
    const entries = Object.entries(value);
    for (const [key, text] of entries)
      if (typeof text !== "string")
        this.fault(`${path}.${key}`, `found ${JSON.stringify(text)}, allowed is text: put it in quotes`);
    return Object.fromEntries(entries.map(([key, text]) => [key, String(text)]));
  }

  onlyFields(path: string, allowed: readonly string[]): void {
    const value = this.value(path);
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      if (!allowed.includes(key))
        this.fault(
          path === "" ? key : `${path}.${key}`,
          `is not a field of a Process here; allowed are ${allowed.join(", ")}`,
        );
    }
  }
}
