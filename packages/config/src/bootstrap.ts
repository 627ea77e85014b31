import { err, type Json, ok, type Result } from "@heddle/base";
import {
  encodeMessage,
  fieldOf,
  formatSegments,
  type JsonIssue,
  type Message,
  messageFromJson,
  messageOf,
  numberOf,
  structToJson,
  textOf,
  validate,
} from "@heddle/proto";
import type {
  Address,
  ClusterConfig,
  ListenerConfig,
  OverloadConfig,
  RuntimeLayer,
  SecretConfig,
  TelemetryConfig,
  WatchdogConfig,
} from "@heddle/traffic";
import {
  DISCOVERY_FIELDS,
  type DiscoverySettings,
  decodeDiscovery,
  decodeLayeredRuntime,
  decodeOverload,
  decodeTelemetry,
  type FieldReport,
  OVERLOAD_FIELDS,
  type ResourceType,
  type SecretResourceType,
  TELEMETRY_FIELDS,
  type XdsNode,
} from "@heddle/xds";
import { clustersOfInlineRoutes } from "./clusters-of-routes.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { mergeDocuments } from "./merge-documents.ts";
import { type StaticList, splitStatic } from "./split-static.ts";
import { parseYamlDocuments, type YamlDocument } from "./yaml-document.ts";

/** What a sidecar starts from: `envoy.config.bootstrap.v3.Bootstrap`, decoded, or what flags say instead. */
export interface SidecarBootstrap {
  readonly node: NodeIdentity;
  readonly listeners: readonly ListenerConfig[];
  readonly clusters: readonly ClusterConfig[];
  readonly secrets: readonly SecretConfig[];
  /** Where resources come from that are not static. */
  readonly discovery: DiscoverySettings;
  /** Undefined: no admin server. */
  readonly admin: Address | undefined;
  /** Left out: Envoy's defaults. */
  readonly telemetry?: TelemetryConfig;
  /** Left out: our own limits. */
  readonly overload?: OverloadConfig;
  /** Of the workers. Left out: our own. */
  readonly watchdog?: WatchdogConfig;
  /** `layered_runtime`, in order. */
  readonly runtimeLayers: readonly RuntimeLayer[];
  /** The bootstrap as it was written, in proto JSON, for those who look. */
  readonly document: Json;
}

/** How a bootstrap is read; everything may be left out. */
export interface BootstrapOptions {
  /** Merged over the bootstrap as `--config-yaml` over `--config-path`: single fields replace, lists are appended. */
  readonly overlay?: { readonly file: string; readonly text: string };
  /** Fields that are not known are reported; else they are errors. */
  readonly allowUnknownFields?: boolean;
}

/** The part of the node that configuration says; the program adds its own name, version and features. */
export type NodeIdentity = Pick<XdsNode, "id" | "cluster" | "metadata" | "locality">;

/** How static listeners and clusters are read: the same types that read dynamic ones. */
export interface StaticResourceTypes {
  readonly listener: ResourceType<ListenerConfig>;
  readonly cluster: ResourceType<ClusterConfig>;
  readonly secret: SecretResourceType;
}

export interface BootstrapReading {
  readonly bootstrap: SidecarBootstrap;
  /** What was set and has no effect. */
  readonly warnings: readonly Diagnostic[];
}

const BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap";
const LISTENER = "envoy.config.listener.v3.Listener";
const CLUSTER = "envoy.config.cluster.v3.Cluster";
const SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret";

/** Reads an Envoy bootstrap in YAML or JSON. On failure every error, each with its place. */
export function readBootstrap(
  file: string,
  text: string,
  types: StaticResourceTypes,
  { overlay, allowUnknownFields = false }: BootstrapOptions = {},
): Result<BootstrapReading, readonly Diagnostic[]> {
  const base = readDocument(file, text);
  const above = overlay === undefined ? undefined : readDocument(overlay.file, overlay.text);
  if (!base.ok || above?.ok === false)
    return err([base, ...(above === undefined ? [] : [above])].flatMap((read) => (read.ok ? [] : read.error)));
  const document = above === undefined ? base.value : mergeDocuments(base.value, above.value);

  const reader = new BootstrapReader(document, types, allowUnknownFields);
  const bootstrap = reader.read();
  const errors = inFileOrder(reader.errors);
  const warnings = inFileOrder(reader.warnings);
  return errors.length > 0 || bootstrap === undefined ? err([...errors, ...warnings]) : ok({ bootstrap, warnings });
}

function readDocument(file: string, text: string): Result<YamlDocument, readonly Diagnostic[]> {
  const documents = parseYamlDocuments(file, text);
  if (!documents.ok) return documents;
  const [document, second] = documents.value;
  if (document === undefined)
    return err([{ severity: "error", file, line: 0, column: 0, path: "", message: "the bootstrap is empty" }]);
  if (second !== undefined) return err([second.diagnostic("", "found a second document, allowed is one bootstrap")]);
  return ok(document);
}

function inFileOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

class BootstrapReader {
  readonly errors: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  readonly #document: YamlDocument;
  readonly #types: StaticResourceTypes;
  readonly #allowUnknownFields: boolean;

  constructor(document: YamlDocument, types: StaticResourceTypes, allowUnknownFields: boolean) {
    this.#document = document;
    this.#types = types;
    this.#allowUnknownFields = allowUnknownFields;
  }

  read(): SidecarBootstrap | undefined {
    // Listeners and clusters are read one by one, so that a fault in one does not hide those of another.
    const parts = splitStatic(this.#document.json);
    const { rest, listeners: listenersJson, clusters: clustersJson, secrets: secretsJson } = parts;
    const secrets = this.#readAll(SECRET, this.#types.secret, secretsJson);
    this.#refuseTwins("secrets", secrets, secretsJson.path);
    this.#types.secret.setStatic(secrets); // before those who name them are read
    const listeners = this.#readAll(LISTENER, this.#types.listener, listenersJson, named);
    const clusters = this.#readAll(CLUSTER, this.#types.cluster, clustersJson);
    this.#refuseTwins("listeners", listeners, listenersJson.path);
    this.#refuseTwins("clusters", clusters, clustersJson.path);

    const message = messageFromJson(BOOTSTRAP, rest, this.#onUnknownField(""));
    if (!message.ok) {
      for (const issue of message.error) this.#error(formatSegments(issue.segments), issue.message);
      return undefined;
    }
    for (const problem of validate(BOOTSTRAP, message.value)) this.#problem("", problem);
    this.#reportUnhonoured(message.value, "");
    // What was refused is not in the lists, so it would only be missed once more.
    if (this.errors.length === 0) this.#checkClustersOfRoutes(listeners, clusters, listenersJson.path, message.value);
    return {
      node: readNode(message.value),
      listeners,
      clusters,
      secrets,
      discovery: this.#readDiscovery(message.value, new Set(clusters.map((cluster) => cluster.name))),
      admin: this.#readAdmin(message.value),
      ...this.#readTelemetry(message.value),
      ...this.#readOverload(message.value),
      runtimeLayers: this.#readRuntime(message.value),
      document: this.#document.json,
    };
  }

  #readAll<Config>(
    typeName: string,
    type: ResourceType<Config>,
    { path, items }: StaticList,
    prepare: (message: Message) => Message = (message) => message,
  ): Config[] {
    const configs: Config[] = [];
    items.forEach((json, index) => {
      const at = `${path}[${index}]`;
      const message = messageFromJson(typeName, json, this.#onUnknownField(at));
      if (!message.ok) {
        for (const issue of message.error) this.#error(join(at, formatSegments(issue.segments)), issue.message);
        return;
      }
      const decoded = type.decode(encodeMessage(typeName, prepare(message.value)));
      if (!decoded.ok) {
        for (const problem of decoded.error) this.#problem(at, problem);
        return;
      }
      for (const { path: field, note } of decoded.value.unhonoured) this.#warning(join(at, field), note);
      configs.push(decoded.value.config);
    });
    return configs;
  }

  #refuseTwins(kind: string, configs: readonly { readonly name: string }[], path: string): void {
    const seen = new Set<string>();
    for (const { name } of configs) {
      if (seen.has(name)) this.#error(path, `there are two ${kind} named "${name}"`);
      seen.add(name);
    }
  }

  /**
   * `validate_clusters`: the routes that stand in a static listener must name clusters that are there. Envoy looks at static
   * clusters alone; where clusters come by CDS as well, one of these may be meant, so that is only a warning here.
   */
  #checkClustersOfRoutes(
    listeners: readonly ListenerConfig[],
    clusters: readonly ClusterConfig[],
    path: string,
    bootstrap: Message,
  ): void {
    const hasCds = messageOf(messageOf(bootstrap, "dynamic_resources") ?? {}, "cds_config") !== undefined;
    const known = new Set(clusters.map(({ name }) => name));
    for (const [index, listener] of listeners.entries()) {
      for (const name of new Set(clustersOfInlineRoutes(listener))) {
        if (known.has(name)) continue;
        const message = `its routes name the cluster "${name}", which is no static cluster`;
        if (hasCds) this.#warning(`${path}[${index}]`, `${message}; requests to it get 503 until it comes`);
        else this.#error(`${path}[${index}]`, message);
      }
    }
  }

  #readDiscovery(bootstrap: Message, staticClusters: ReadonlySet<string>): DiscoverySettings {
    if (!DISCOVERY_FIELDS.some((field) => fieldOf(bootstrap, field) !== undefined)) return {};
    const { settings, errors, unhonoured } = decodeDiscovery(bootstrap, staticClusters);
    this.#tell(errors, unhonoured);
    return settings;
  }

  #readAdmin(bootstrap: Message): Address | undefined {
    const address = messageOf(messageOf(bootstrap, "admin") ?? {}, "address");
    if (address === undefined) return undefined;
    const pipe = messageOf(address, "pipe");
    if (pipe !== undefined)
      return { type: "pipe", path: textOf(pipe, "path"), mode: numberOf(pipe, "mode") || undefined };
    const socket = messageOf(address, "socket_address");
    if (socket === undefined) {
      this.#error("admin.address", "allowed are socket_address and pipe");
      return undefined;
    }
    return { type: "socket", address: textOf(socket, "address"), port: numberOf(socket, "port_value") };
  }

  #readTelemetry(bootstrap: Message): Pick<SidecarBootstrap, "telemetry"> {
    if (!TELEMETRY_FIELDS.some((field) => fieldOf(bootstrap, field) !== undefined)) return {};
    const { config, errors, unhonoured } = decodeTelemetry(bootstrap);
    this.#tell(errors, unhonoured);
    return { telemetry: config };
  }

  #readRuntime(bootstrap: Message): readonly RuntimeLayer[] {
    if (fieldOf(bootstrap, "layered_runtime") === undefined) return [];
    const { layers, errors, unhonoured } = decodeLayeredRuntime(bootstrap);
    this.#tell(errors, unhonoured);
    return layers;
  }

  #readOverload(bootstrap: Message): Pick<SidecarBootstrap, "overload" | "watchdog"> {
    if (!OVERLOAD_FIELDS.some((field) => fieldOf(bootstrap, field) !== undefined)) return {};
    const { overload, watchdog, errors, unhonoured } = decodeOverload(bootstrap);
    this.#tell(errors, unhonoured);
    return { ...(overload && { overload }), ...(watchdog && { watchdog }) };
  }

  #tell(errors: readonly string[], unhonoured: readonly FieldReport[]): void {
    for (const problem of errors) this.#problem("", problem);
    for (const { path, note } of unhonoured) this.#warning(path, note);
  }

  /** One warning for each field that was set and that nothing here reads. */
  #reportUnhonoured(message: Message, prefix: string): void {
    for (const name of Object.keys(message)) {
      const path = join(prefix, name);
      const value = fieldOf(message, name);
      if (HONOURED.has(path) || value === undefined || value === SAYS_NOTHING[path]) continue;
      if (PARTLY_HONOURED.has(path)) this.#reportUnhonoured(message[name] as Message, path);
      else this.#warning(path, NOTES[path] ?? "has no effect");
    }
  }

  /** What hears of fields that are not known; undefined: they are errors. */
  #onUnknownField(prefix: string): ((issue: JsonIssue) => void) | undefined {
    if (!this.#allowUnknownFields) return undefined;
    return ({ segments, message }) => this.#warning(join(prefix, formatSegments(segments)), message);
  }

  #error(path: string, message: string): void {
    this.errors.push(this.#document.diagnostic(path, message));
  }

  #warning(path: string, message: string): void {
    this.warnings.push(this.#document.diagnostic(path, message, "warning"));
  }

  /** "filter_chains[0].name: must be set", relative to `prefix`. */
  #problem(prefix: string, problem: string): void {
    const colon = problem.indexOf(": ");
    if (colon === -1) this.#error(prefix, problem);
    else this.#error(join(prefix, problem.slice(0, colon)), problem.slice(colon + 2));
  }
}

/** Fields whose whole content is read here. */
const HONOURED: ReadonlySet<string> = new Set([
  "node.id",
  "node.cluster",
  "node.metadata",
  "node.locality",
  "static_resources.listeners",
  "static_resources.clusters",
  "static_resources.secrets",
  "admin.address",
  "layered_runtime",
  ...DISCOVERY_FIELDS,
  ...TELEMETRY_FIELDS,
  ...OVERLOAD_FIELDS,
]);
const PARTLY_HONOURED: ReadonlySet<string> = new Set(["node", "static_resources", "admin"]);
/** Fields that say only what happens anyway, and the value that says so. */
const SAYS_NOTHING: Readonly<Record<string, string>> = {
  "admin.access_log_path": "/dev/null",
};
const NOTES: Readonly<Record<string, string>> = {
  "admin.access_log": "has no effect; requests to admin are not logged",
  "admin.access_log_path": "has no effect; requests to admin are not logged",
  "admin.profile_path": "has no effect; there is no profiler behind admin",
};

/** A listener without a name gets its address; Envoy makes up a UUID, which nobody could refer to. */
function named(listener: Message): Message {
  if (textOf(listener, "name") !== "") return listener;
  const address = messageOf(listener, "address") ?? {};
  const socket = messageOf(address, "socket_address") ?? {};
  const pipe = messageOf(address, "pipe");
  const name =
    pipe === undefined ? `${textOf(socket, "address")}_${numberOf(socket, "port_value")}` : textOf(pipe, "path");
  return { ...listener, name };
}

function readNode(bootstrap: Message): NodeIdentity {
  const node = messageOf(bootstrap, "node") ?? {};
  const locality = messageOf(node, "locality") ?? {};
  return {
    id: textOf(node, "id"),
    cluster: textOf(node, "cluster"),
    metadata: structToJson(messageOf(node, "metadata") ?? {}),
    locality: {
      region: textOf(locality, "region"),
      zone: textOf(locality, "zone"),
      subZone: textOf(locality, "sub_zone"),
    },
  };
}

function join(prefix: string, path: string): string {
  if (prefix === "" || path === "") return prefix + path;
  return path.startsWith("[") ? prefix + path : `${prefix}.${path}`;
}
