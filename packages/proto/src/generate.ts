/*
 * Compiles the .proto files into the descriptors under gen/. Run by hand, its outcome is checked in:
 *
 *     node --conditions=heddle-src packages/proto/src/generate.ts
 *
 * A descriptor is a line for each message and enum that is not nested in another one: its full name, and its JSON in protobufjs' form.
 * Pruned by type and never by field: of the options it keeps what changes meaning (`validate.rules`, `deprecated`, proto3 optional), of the
 * names Envoy's own (snake_case). Fields name their types in full, so that one can be looked up where nothing else is loaded.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const PROTO_FOLDER = fileURLToPath(new URL("../../../proto", import.meta.url));
const GEN_FOLDER = fileURLToPath(new URL("./gen", import.meta.url));
const DESCRIPTORS = ["core", "honoured", "extensions", "etcd"] as const;

/** Where Envoy's .proto files lie, or undefined where the development dependency is not installed. */
export function envoyApiFolder(): string | undefined {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("@grpc/grpc-js-xds/package.json")), "deps");
  } catch {
    return undefined;
  }
}

/** The text of every file of gen/, by its name. */
export function generate(envoyApi: string): Map<string, string> {
  const folders = ["envoy-api", "googleapis", "protoc-gen-validate", "xds"].map((name) => join(envoyApi, name));
  const loader = new Loader([PROTO_FOLDER, ...folders]);
  const roots = readRoots(readFileSync(join(PROTO_FOLDER, "envoy.txt"), "utf8"));
  for (const folder of ["envoy", "xds", "udpa", "heddle", "etcd"]) loader.loadFolder(folder);
  addNewerFields(loader.root, readFileSync(join(PROTO_FOLDER, "newer-fields.txt"), "utf8"));

  const files = new Map<string, string>();
  const emitted = new Set<string>();
  const declared = new Set<string>();
  for (const descriptor of DESCRIPTORS) {
    const wanted = roots.filter((root) => root.descriptor === descriptor).flatMap((root) => loader.select(root.what));
    const reached = reach(wanted);
    const types = new Set([...reached].filter((type) => !emitted.has(type.fullName)));
    for (const type of types) emitted.add(type.fullName);
    const declarations = declarationsOf(loader.root, types);
    for (const [name] of declarations) {
      if (declared.has(name))
        throw new Error(`${name} is declared twice: the descriptor that comes first has to have all of it`);
      declared.add(name);
    }
    files.set(`${descriptor}.ts`, toModule(descriptor, declarations));
  }
  return files;
}

/** protobufjs has its own descriptors of these; nobody's import has to ask for them. */
const WELL_KNOWN = ["any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"];

type Declared = protobuf.Type | protobuf.Enum;
type JsonObject = { [key: string]: unknown };

/** Parses files and what they import, each once. Not `Root.load`: that insists on resolving what pruning leaves out. */
class Loader {
  readonly root = new protobuf.Root();
  readonly #folders: readonly string[];
  readonly #loaded = new Set<string>();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
    for (const name of WELL_KNOWN) this.#load(`google/protobuf/${name}.proto`);
  }

  loadFolder(folder: string): void {
    for (const base of this.#folders) {
      if (!existsSync(join(base, folder))) continue;
      const names = readdirSync(join(base, folder), { recursive: true, encoding: "utf8" });
      for (const name of names.filter(isStable).sort()) this.#load(join(folder, name));
    }
  }

  /** A message by its name, or with "envoy/config/*" every message of a package below that. */
  select(what: string): Declared[] {
    if (!what.endsWith("/*")) return [this.root.lookupTypeOrEnum(what)];
    const namespace = this.root.lookup(what.slice(0, -2).replaceAll("/", "."));
    if (!(namespace instanceof protobuf.Namespace)) throw new Error(`${what}: no such package`);
    return declaredIn(namespace).filter(isResolvable);
  }

  #load(file: string): void {
    if (this.#loaded.has(file)) return;
    this.#loaded.add(file);
    const common = protobuf.common.get(file);
    if (common !== null) {
      this.root.addJSON(common.nested ?? {});
      return;
    }
    const path = this.#folders.map((folder) => join(folder, file)).find(existsSync);
    if (path === undefined) return; // opencensus, opentelemetry: not among the dependency's files
    const parsed = protobuf.parse(readFileSync(path, "utf8"), this.root, { keepCase: true });
    for (const imported of parsed.imports ?? []) this.#load(imported);
  }
}

function isStable(path: string): boolean {
  return path.endsWith(".proto") && !/(^|\/)(v2|v2alpha\d?|v1alpha\d?|v3alpha)\//.test(path);
}

function readRoots(text: string): { descriptor: string; what: string }[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [descriptor, what] = line.split(/\s+/);
      if (descriptor === undefined || what === undefined) throw new Error(`envoy.txt: cannot read "${line}"`);
      return { descriptor, what };
    });
}

/** What the .proto files are too old to have; see proto/newer-fields.txt. */
function addNewerFields(root: protobuf.Root, text: string): void {
  for (const line of text.split("\n").filter((each) => each !== "" && !each.startsWith("#"))) {
    const [message = "", name = "", number = "", type = "", ...more] = line.split(/\s+/);
    const oneof = more[0]?.startsWith("oneof:") === true ? more.shift()?.slice("oneof:".length) : undefined;
    const [rules] = more;
    const known = root.lookupType(message);
    const older = known.fields[name];
    if (older !== undefined && rules === undefined) {
      throw new Error(`newer-fields.txt: ${message}.${name} is not newer any more`);
    }
    const [single = type] = type.split("[]");
    const field = older ?? new protobuf.Field(name, Number(number), single, single === type ? undefined : "repeated");
    if (rules !== undefined) field.parsedOptions = [{ "(validate.rules)": JSON.parse(rules) as JsonObject }];
    if (older === undefined) known.add(field);
    if (oneof !== undefined) known.oneofs[oneof]!.add(field); // a name that it does not have is a mistake of ours
  }
}

function declaredIn(namespace: protobuf.NamespaceBase): Declared[] {
  return namespace.nestedArray.flatMap((object) => {
    const below = object instanceof protobuf.Namespace || object instanceof protobuf.Type ? declaredIn(object) : [];
    return object instanceof protobuf.Type || object instanceof protobuf.Enum ? [object, ...below] : below;
  });
}

/** Whether everything that the message can hold is known. */
function isResolvable(type: Declared): boolean {
  try {
    reach([type]);
    return true;
  } catch {
    return false;
  }
}

/** The types, what their fields can hold, and what is nested in any of them. */
function reach(types: readonly Declared[]): Set<Declared> {
  const reached = new Set<Declared>();
  const visit = (type: Declared): void => {
    if (reached.has(type)) return;
    reached.add(type);
    if (type instanceof protobuf.Enum) return;
    for (const field of type.fieldsArray) {
      if (!Object.hasOwn(protobuf.types.basic, field.type)) visit(type.lookupTypeOrEnum(field.type));
    }
    for (const nested of declaredIn(type)) visit(nested);
  };
  for (const type of types) visit(type);
  return reached;
}

/** By full name, what stands in the namespace itself and in those below; not what is nested in a message. */
function declarationsOf(namespace: protobuf.NamespaceBase, types: ReadonlySet<Declared>): [string, JsonObject][] {
  return sorted(namespace).flatMap((object): [string, JsonObject][] => {
    if (!isDeclared(object)) return object instanceof protobuf.Namespace ? declarationsOf(object, types) : [];
    const json = prune(object, types);
    return json === undefined ? [] : [[object.fullName.slice(1), json]];
  });
}

function sorted(namespace: protobuf.NamespaceBase): protobuf.ReflectionObject[] {
  return [...namespace.nestedArray].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function isDeclared(object: protobuf.ReflectionObject): object is Declared {
  return object instanceof protobuf.Type || object instanceof protobuf.Enum;
}

function prune(object: Declared, types: ReadonlySet<Declared>): JsonObject | undefined {
  if (object instanceof protobuf.Type) return pruneType(object, types);
  return types.has(object) ? { values: object.values } : undefined;
}

function pruneType(type: protobuf.Type, types: ReadonlySet<Declared>): JsonObject | undefined {
  const below = sorted(type).flatMap((object): [string, JsonObject][] => {
    const json = isDeclared(object) ? prune(object, types) : undefined;
    return json === undefined ? [] : [[object.name, json]];
  });
  const nested = below.length === 0 ? undefined : Object.fromEntries(below);
  if (!types.has(type)) return nested && { nested };
  const oneofs = type.oneofsArray.map((oneof) => {
    const required = oneof.options?.["(validate.required)"] === true;
    return [oneof.name, { oneof: oneof.oneof, ...(required && { options: { required } }) }] as const;
  });
  return {
    ...(oneofs.length > 0 && { oneofs: Object.fromEntries(oneofs) }),
    fields: Object.fromEntries(type.fieldsArray.map((field) => [field.name, toFieldJson(type, field)])),
    ...(nested && { nested }),
  };
}

function toFieldJson(of: protobuf.Type, field: protobuf.FieldBase): JsonObject {
  const { options: _, ...json } = field.toJSON();
  const type = Object.hasOwn(protobuf.types.basic, field.type) ? field.type : of.lookupTypeOrEnum(field.type).fullName;
  const options = keptOptions(field);
  return { ...json, type, ...(options !== undefined && { options }) };
}

function keptOptions(field: protobuf.FieldBase): JsonObject | undefined {
  const kept: JsonObject = {};
  const options = field.options ?? {};
  for (const name of ["deprecated", "proto3_optional", "packed", "json_name"]) {
    if (options[name] !== undefined) kept[name] = options[name];
  }
  const rules = validateRules(field.parsedOptions ?? []);
  if (rules !== undefined) kept["rules"] = rules;
  return Object.keys(kept).length === 0 ? undefined : kept;
}

/** `[(validate.rules).string.min_len = 1]` and `[(validate.rules).string = {min_len: 1}]`: {string: {min_len: 1}}. */
function validateRules(parsed: readonly JsonObject[]): JsonObject | undefined {
  let rules: JsonObject | undefined;
  for (const option of parsed) {
    for (const [key, value] of Object.entries(option)) {
      if (!key.startsWith("(validate.rules)")) continue;
      rules ??= {};
      const path = key.slice("(validate.rules)".length).split(".").filter(Boolean);
      merge(rules, path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as JsonObject);
    }
  }
  return rules;
}

function merge(into: JsonObject, from: JsonObject): void {
  for (const [key, value] of Object.entries(from)) {
    const present = into[key];
    if (isObject(present) && isObject(value)) merge(present, value);
    else into[key] = value;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A string to be parsed, not an object literal: V8 reads JSON faster, and only when somebody asks. */
function toModule(name: string, declarations: readonly (readonly [string, JsonObject])[]): string {
  const lines = declarations.map(([of, json]) => `${of} ${JSON.stringify(json)}\n`).join("");
  const text = lines.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n");
  return `// Made by generate.ts from proto/ and Envoy's API. Do not edit.\nexport const ${name}Descriptor: string =\n  '${text}';\n`;
}

if (import.meta.main) {
  const envoyApi = envoyApiFolder();
  if (envoyApi === undefined) throw new Error("@grpc/grpc-js-xds is not installed");
  for (const [name, text] of generate(envoyApi)) writeFileSync(join(GEN_FOLDER, name), text);
}
