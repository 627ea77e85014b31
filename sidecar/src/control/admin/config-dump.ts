import type { Json, JsonObject } from "@heddle/base";
import type { AssembledResource, ProxyConfig, SidecarBootstrap, Versioned } from "@heddle/config";
import { toProtoJson, typeNameOf } from "@heddle/proto";
import {
  type AdminAnswer,
  type AdminPage,
  JsonFields,
  JsonItems,
  type StreamedJson,
  streamedJsonAnswer,
} from "@heddle/telemetry/admin";
import { compileSafeRegex, filterChainsOf, type ListenerConfig } from "@heddle/traffic";
import { type ResourceKind, type ResourceType, redactSecrets } from "@heddle/xds";
import type { ResourceStatus } from "@heddle/xds/client";
import { bootstrapFields } from "./bootstrap-dump.ts";
import { DumpFields, DumpList, type DumpTree, each, maskTree, streamed } from "./dump-tree.ts";
import { parseMask } from "./field-mask.ts";
import { withProtoNames } from "./proto-names.ts";

/** What `/config_dump` shows. */
export interface ConfigDumpSubjects {
  readonly bootstrap: SidecarBootstrap;
  readonly startedWallMs: number;
  readonly resources: () => readonly AssembledResource[];
  /** What serves, for the endpoints of static clusters. */
  readonly current: () => ProxyConfig;
  /** Of dynamic resources, for what was refused; empty without a control plane. */
  readonly statuses: () => readonly ResourceStatus[];
  readonly typeOf: (kind: ResourceKind) => ResourceType<unknown>;
}

const TYPE = "type.googleapis.com/";
const DUMP = `${TYPE}envoy.admin.v3.`;

/** The message of one element of each list of the dump, as `?resource=` shows it. */
const ELEMENT_TYPES: Readonly<Record<string, string>> = {
  static_clusters: "ClustersConfigDump.StaticCluster",
  dynamic_active_clusters: "ClustersConfigDump.DynamicCluster",
  dynamic_warming_clusters: "ClustersConfigDump.DynamicCluster",
  static_listeners: "ListenersConfigDump.StaticListener",
  dynamic_listeners: "ListenersConfigDump.DynamicListener",
  static_route_configs: "RoutesConfigDump.StaticRouteConfig",
  dynamic_route_configs: "RoutesConfigDump.DynamicRouteConfig",
  inline_scoped_route_configs: "ScopedRoutesConfigDump.InlineScopedRouteConfigs",
  dynamic_scoped_route_configs: "ScopedRoutesConfigDump.DynamicScopedRouteConfigs",
  static_secrets: "SecretsConfigDump.StaticSecret",
  dynamic_active_secrets: "SecretsConfigDump.DynamicSecret",
  dynamic_warming_secrets: "SecretsConfigDump.DynamicSecret",
  static_endpoint_configs: "EndpointsConfigDump.StaticEndpointConfig",
  dynamic_endpoint_configs: "EndpointsConfigDump.DynamicEndpointConfig",
};

/**
 * `/config_dump` in the shape of Envoy's (`envoy.admin.v3.ConfigDump`): what serves, what warms, and what was refused. The
 * resources of a control plane are shown as they came, whatever of them is honoured (`heddle status` says what is not); static
 * ones as we understood them, and as they were written in the bootstrap. Secrets are nowhere.
 */
export function configDumpPage(subjects: ConfigDumpSubjects): AdminPage {
  return {
    path: "/config_dump",
    method: "GET",
    help: "the configuration: bootstrap, listeners, routes, clusters, endpoints, serving and warming",
    params: [
      { name: "resource", help: "only the elements of this list, for example dynamic_listeners" },
      { name: "mask", help: "only these fields (a FieldMask) of each section, or of each element with resource" },
      { name: "name_regex", help: "only what has a name that this expression matches as a whole (RE2)" },
      { name: "include_eds", help: "endpoints, too", values: [] },
    ],
    answer: (query) => configDump(subjects, query),
  };
}

async function configDump(subjects: ConfigDumpSubjects, query: URLSearchParams): Promise<AdminAnswer> {
  const pattern = query.get("name_regex") ?? "";
  const regex = pattern === "" ? undefined : compileSafeRegex(pattern);
  if (regex?.ok === false) return refuse(400, `name_regex: ${regex.error}`);
  const resource = query.get("resource") ?? "";
  const maskText = query.get("mask") ?? "";
  const includeEds = query.has("include_eds") || resource.endsWith("_endpoint_configs");
  const sections = allSections(subjects, includeEds, (name) => regex === undefined || regex.value.test(name));
  if (resource !== "") return oneList(sections, resource, maskText);
  if (maskText === "") return answer(sections.map(streamed));
  const mask = parseMask(maskText);
  const masked: StreamedJson[] = [];
  for (const section of sections) {
    const shown = await maskTree(section, mask);
    if (shown !== undefined) masked.push(streamed(shown));
  }
  if (masked.length === 0) return refuse(400, `mask: "${maskText}" names no field of any section`);
  return answer(masked);
}

/** The elements of one list, each with its type. */
async function oneList(sections: readonly DumpFields[], resource: string, maskText: string): Promise<AdminAnswer> {
  const list = sections.flatMap(({ fields }) => fields).find(([name]) => name === resource)?.[1];
  if (list === undefined) {
    const known = Object.keys(ELEMENT_TYPES).join(", ");
    return refuse(404, `${resource} not found in config dump; there are ${known}`);
  }
  if (!(list instanceof DumpList))
    return refuse(400, `${resource} is not a repeated field. Use mask to get only this field`);
  const shown = maskText === "" ? list : await maskTree(list, parseMask(maskText));
  if (shown === undefined) return refuse(400, `mask: "${maskText}" names no field of ${resource}`);
  const type = `${DUMP}${ELEMENT_TYPES[resource]}`;
  return answer(
    each((shown as DumpList).elements(), (element) => element && { "@type": type, ...(element as JsonObject) }),
  );
}

function answer(configs: Iterable<StreamedJson | undefined>): AdminAnswer {
  return streamedJsonAnswer(new JsonFields([["configs", new JsonItems(configs)]]));
}

function refuse(status: number, why: string): AdminAnswer {
  return { status, body: `${why}\n` };
}

type NameFilter = (name: string) => boolean;

function allSections(subjects: ConfigDumpSubjects, includeEds: boolean, named: NameFilter): DumpFields[] {
  const all = subjects.resources();
  const resources = all.filter(({ name }) => named(name));
  const of = (kind: ResourceKind): readonly AssembledResource[] =>
    resources.filter((resource) => resource.kind === kind);
  const writer = new Writer(subjects, named);
  const inline = all.filter(({ kind }) => kind === "listener").flatMap((listener) => inlineRoutes(listener, named));
  return [
    section("BootstrapConfigDump", bootstrapFields(subjects)),
    section("ClustersConfigDump", clusterLists(writer, of("cluster"))),
    ...(includeEds
      ? [section("EndpointsConfigDump", endpointLists(writer, of("endpoints"), all, subjects, named))]
      : []),
    section("ListenersConfigDump", listenerLists(writer, of("listener"))),
    section("ScopedRoutesConfigDump", { inline_scoped_route_configs: NO_LIST, dynamic_scoped_route_configs: NO_LIST }),
    section("RoutesConfigDump", routeLists(writer, of("route-configuration"), inline)),
    section("SecretsConfigDump", secretLists(writer, of("secret"))),
  ];
}

const NO_LIST = new DumpList(() => []);

function section(type: string, fields: Readonly<Record<string, DumpTree>>): DumpFields {
  return new DumpFields([["@type", `${DUMP}${type}`], ...Object.entries(fields)]);
}

function clusterLists(writer: Writer, clusters: readonly AssembledResource[]): Record<string, DumpTree> {
  const list = (source: AssembledResource["source"], state: "active" | "warming"): DumpList =>
    writer.states(
      clusters.filter((cluster) => cluster.source === source && cluster[state] !== undefined),
      state,
      "cluster",
    );
  return {
    static_clusters: list("static", "active"),
    dynamic_active_clusters: list("dynamic", "active"),
    dynamic_warming_clusters: list("dynamic", "warming").with(writer.refused("cluster", clusters)),
  };
}

function listenerLists(writer: Writer, listeners: readonly AssembledResource[]): Record<string, DumpTree> {
  const dynamic = listeners.filter((listener) => !isStatic(listener));
  const shown = (listener: AssembledResource): JsonObject => {
    const activeState = writer.state(listener, listener.active, "listener");
    const warmingState = writer.state(listener, listener.warming, "listener");
    return {
      name: listener.name,
      ...(activeState === undefined ? {} : { active_state: activeState }),
      ...(warmingState === undefined ? {} : { warming_state: warmingState }),
      ...writer.errorState("listener", listener.name),
    };
  };
  return {
    static_listeners: new DumpList(() =>
      each(listeners.filter(isStatic), (listener) =>
        writer.state(listener, listener.active ?? listener.warming, "listener"),
      ),
    ),
    dynamic_listeners: new DumpList(() => each(dynamic, shown)).with(writer.refused("listener", dynamic)),
  };
}

function routeLists(
  writer: Writer,
  routes: readonly AssembledResource[],
  inline: readonly AssembledResource[],
): Record<string, DumpTree> {
  const held = routes.filter(({ active }) => active !== undefined);
  return {
    static_route_configs: writer.states(inline, "active", "route_config"),
    dynamic_route_configs: writer
      .states(held, "active", "route_config")
      .with(writer.refused("route-configuration", held)),
  };
}

/** Keys and other things that nobody may see are "[redacted]", as everywhere. */
function secretLists(writer: Writer, secrets: readonly AssembledResource[]): Record<string, DumpTree> {
  const dynamic = secrets.filter((secret) => !isStatic(secret));
  const states = (chosen: readonly AssembledResource[]): DumpList =>
    new DumpList(() =>
      each(chosen, (secret) => {
        const state = writer.state(secret, secret.active, "secret");
        return state && { name: secret.name, ...state };
      }),
    );
  const warming = dynamic.filter(({ active }) => active === undefined);
  return {
    static_secrets: states(secrets.filter(isStatic)),
    dynamic_active_secrets: states(dynamic),
    dynamic_warming_secrets: new DumpList(() =>
      each(warming, ({ name }) => ({ name, ...writer.errorState("secret", name) })),
    ),
  };
}

function endpointLists(
  writer: Writer,
  endpoints: readonly AssembledResource[],
  all: readonly AssembledResource[],
  { current }: ConfigDumpSubjects,
  named: NameFilter,
): Record<string, DumpTree> {
  const held = endpoints.filter(({ active }) => active !== undefined);
  const assignments = current().endpoints;
  const fixed = all.filter(({ kind, name }) => kind === "cluster" && named(name) && assignments.has(name));
  const fixedState = ({ name, source, active }: AssembledResource): JsonObject | undefined => {
    const version = active && { ...active, bytes: undefined, config: assignments.get(name) };
    return writer.state(
      { kind: "endpoints", name, source, active: version, warming: undefined, waitingFor: [] },
      version,
      "endpoint_config",
    );
  };
  return {
    static_endpoint_configs: new DumpList(() => each(fixed.filter(hasOwnEndpoints), fixedState)),
    dynamic_endpoint_configs: writer.states(held, "active", "endpoint_config").with(writer.refused("endpoints", held)),
  };
}

/** Whether a cluster's endpoints come from its own configuration or from DNS, and not by EDS. */
function hasOwnEndpoints({ active }: AssembledResource): boolean {
  const cluster = active?.config as { readonly discovery?: { readonly type: string } } | undefined;
  return cluster?.discovery?.type !== "EDS";
}

/** Route configurations that stand in a listener itself. */
function inlineRoutes({ source, active }: AssembledResource, named: NameFilter): AssembledResource[] {
  if (active === undefined) return [];
  return filterChainsOf(active.config as ListenerConfig)
    .flatMap(({ filters }) => filters)
    .flatMap((filter) =>
      filter.type === "http-connection-manager" && filter.config.routes.type === "inline"
        ? [filter.config.routes.routeConfig]
        : [],
    )
    .filter(({ name }) => named(name))
    .map((config) => ({
      kind: "route-configuration",
      name: config.name,
      source,
      active: { ...active, bytes: undefined, version: "", config }, // the bytes are the listener's
      warming: undefined,
      waitingFor: [],
    }));
}

class Writer {
  readonly #typeOf: ConfigDumpSubjects["typeOf"];
  readonly #refused: ReadonlyMap<string, ResourceStatus>;

  constructor({ typeOf, statuses }: ConfigDumpSubjects, named: NameFilter) {
    this.#typeOf = typeOf;
    const refused = statuses().filter(({ errors, name }) => errors.length > 0 && named(name));
    this.#refused = new Map(refused.map((status) => [`${status.kind}/${status.name}`, status]));
  }

  /** One version of each, in a list. */
  states(resources: readonly AssembledResource[], version: "active" | "warming", field: string): DumpList {
    return new DumpList(() => each(resources, (resource) => this.state(resource, resource[version], field)));
  }

  /** A version of a resource as Envoy's dump has it; undefined where there is none. */
  state(
    { kind, name }: AssembledResource,
    version: Versioned<unknown> | undefined,
    field: string,
  ): JsonObject | undefined {
    if (version === undefined) return undefined;
    const type = this.#typeOf(kind);
    const typeName = typeNameOf(type.typeUrl);
    const json = toProtoJson(typeName, version.bytes ?? type.encode(version.config));
    if (!json.ok) throw new Error(`${kind} ${name} cannot be written: ${json.error}`);
    const message = redactSecrets(withProtoNames(typeName, json.value)) as JsonObject;
    return {
      ...(version.version === "" ? {} : { version_info: version.version }),
      [field]: { "@type": type.typeUrl, ...message },
      last_updated: time(version.acceptedMs),
      ...(field === "listener" ? {} : this.errorState(kind, name)),
    };
  }

  /** Why the last version of it was refused, if it was. */
  errorState(kind: ResourceKind, name: string): JsonObject {
    const status = this.#refused.get(`${kind}/${name}`);
    return status === undefined ? {} : { error_state: errorState(status) };
  }

  /** Refused resources of which no version is held. */
  refused(kind: ResourceKind, held: readonly AssembledResource[]): JsonObject[] {
    const names = new Set(held.map((resource) => resource.name));
    return [...this.#refused.values()]
      .filter((status) => status.kind === kind && !names.has(status.name))
      .map((status) => ({ name: status.name, error_state: errorState(status) }));
  }
}

function errorState({ errors, rejectedVersion, updatedAtMs }: ResourceStatus): Json {
  return {
    details: errors.join("\n"),
    version_info: rejectedVersion,
    ...(updatedAtMs === undefined ? {} : { last_update_attempt: time(updatedAtMs) }),
  };
}

function isStatic({ source }: AssembledResource): boolean {
  return source === "static";
}

function time(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
