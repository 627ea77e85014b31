import type { Json, JsonObject } from "@heddle/base";
import type { AssembledResource, ProxyConfig, SidecarBootstrap, Versioned } from "@heddle/config";
import { messageFromJson, messageToJson, toProtoJson, typeNameOf } from "@heddle/proto";
import { type AdminAnswer, type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import { compileSafeRegex, filterChainsOf, type ListenerConfig } from "@heddle/traffic";
import { type ResourceKind, type ResourceType, redactSecrets } from "@heddle/xds";
import type { ResourceStatus } from "@heddle/xds/client";
import { addressJson } from "./address-form.ts";
import { applyMask, parseMask } from "./field-mask.ts";
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
const BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap";

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

function configDump(subjects: ConfigDumpSubjects, query: URLSearchParams): AdminAnswer {
  const pattern = query.get("name_regex") ?? "";
  const regex = pattern === "" ? undefined : compileSafeRegex(pattern);
  if (regex?.ok === false) return refuse(400, `name_regex: ${regex.error}`);
  const resource = query.get("resource") ?? "";
  const maskText = query.get("mask") ?? "";
  const includeEds = query.has("include_eds") || resource.endsWith("_endpoint_configs");
  const sections = allSections(subjects, includeEds, (name) => regex === undefined || regex.value.test(name));
  if (resource !== "") return oneList(sections, resource, maskText);
  if (maskText === "") return jsonAnswer({ configs: sections });
  const mask = parseMask(maskText);
  const masked = sections.flatMap((section) => applyMask(section, mask) ?? []);
  if (masked.length === 0) return refuse(400, `mask: "${maskText}" names no field of any section`);
  return jsonAnswer({ configs: masked });
}

/** The elements of one list, each with its type. */
function oneList(sections: readonly JsonObject[], resource: string, maskText: string): AdminAnswer {
  const section = sections.find((candidate) => Object.hasOwn(candidate, resource));
  const list = section?.[resource];
  if (list === undefined) {
    const known = Object.keys(ELEMENT_TYPES).join(", ");
    return refuse(404, `${resource} not found in config dump; there are ${known}`);
  }
  if (!Array.isArray(list)) return refuse(400, `${resource} is not a repeated field. Use mask to get only this field`);
  const mask = maskText === "" ? undefined : parseMask(maskText);
  const elements = (list as readonly JsonObject[]).flatMap((element) => {
    const shown = mask === undefined ? element : applyMask(element, mask);
    return shown === undefined ? [] : [{ "@type": `${DUMP}${ELEMENT_TYPES[resource]}`, ...shown }];
  });
  if (mask !== undefined && elements.length === 0 && list.length > 0)
    return refuse(400, `mask: "${maskText}" names no field of ${resource}`);
  return jsonAnswer({ configs: elements });
}

function refuse(status: number, why: string): AdminAnswer {
  return { status, body: `${why}\n` };
}

type NameFilter = (name: string) => boolean;

function allSections(subjects: ConfigDumpSubjects, includeEds: boolean, named: NameFilter): JsonObject[] {
  const resources = subjects.resources().filter(({ name }) => named(name));
  const of = (kind: ResourceKind): readonly AssembledResource[] =>
    resources.filter((resource) => resource.kind === kind);
  const writer = new Writer(subjects, named);
  const inline = subjects
    .resources()
    .filter(({ kind }) => kind === "listener")
    .flatMap((listener) => inlineRoutes(listener, named));
  return [
    bootstrapDump(subjects),
    clustersDump(writer, of("cluster")),
    ...(includeEds ? [endpointsDump(writer, of("endpoints"), subjects, named)] : []),
    listenersDump(writer, of("listener")),
    { "@type": `${DUMP}ScopedRoutesConfigDump`, inline_scoped_route_configs: [], dynamic_scoped_route_configs: [] },
    routesDump(writer, of("route-configuration"), inline),
    secretsDump(writer, of("secret")),
  ];
}

function bootstrapDump({ bootstrap, startedWallMs }: ConfigDumpSubjects): JsonObject {
  const { node, admin, document } = bootstrap;
  const { subZone, ...locality } = node.locality;
  const message = messageFromJson(BOOTSTRAP, document);
  // Where it cannot be read as a whole (unknown fields were allowed), it stands as it was written.
  const written = message.ok ? withProtoNames(BOOTSTRAP, messageToJson(BOOTSTRAP, message.value)) : document;
  return {
    "@type": `${DUMP}BootstrapConfigDump`,
    bootstrap: {
      ...(redactSecrets(written) as JsonObject),
      node: {
        id: node.id,
        cluster: node.cluster,
        metadata: node.metadata as Json,
        locality: { ...locality, sub_zone: subZone },
        user_agent_name: "heddle",
      },
      ...(admin === undefined ? {} : { admin: { address: addressJson(admin) } }),
    },
    last_updated: time(startedWallMs),
  };
}

function clustersDump(writer: Writer, clusters: readonly AssembledResource[]): JsonObject {
  const active = clusters.filter((cluster) => cluster.active !== undefined);
  const dynamic = (source: readonly AssembledResource[], state: "active" | "warming"): Json[] =>
    source.flatMap((cluster) => (cluster.source === "dynamic" ? writer.state(cluster, cluster[state], "cluster") : []));
  return {
    "@type": `${DUMP}ClustersConfigDump`,
    static_clusters: active.filter(isStatic).flatMap((cluster) => writer.state(cluster, cluster.active, "cluster")),
    dynamic_active_clusters: dynamic(active, "active"),
    dynamic_warming_clusters: [...dynamic(clusters, "warming"), ...writer.refused("cluster", clusters)],
  };
}

function listenersDump(writer: Writer, listeners: readonly AssembledResource[]): JsonObject {
  const dynamic = listeners.filter((listener) => !isStatic(listener));
  return {
    "@type": `${DUMP}ListenersConfigDump`,
    static_listeners: listeners
      .filter(isStatic)
      .flatMap((listener) => writer.state(listener, listener.active ?? listener.warming, "listener")),
    dynamic_listeners: [
      ...dynamic.map((listener) => {
        const [activeState] = writer.state(listener, listener.active, "listener");
        const [warmingState] = writer.state(listener, listener.warming, "listener");
        return {
          name: listener.name,
          ...(activeState === undefined ? {} : { active_state: activeState }),
          ...(warmingState === undefined ? {} : { warming_state: warmingState }),
          ...writer.errorState("listener", listener.name),
        };
      }),
      ...writer.refused("listener", dynamic),
    ],
  };
}

function routesDump(
  writer: Writer,
  routes: readonly AssembledResource[],
  inline: readonly AssembledResource[],
): JsonObject {
  const states = routes.flatMap((route) => writer.state(route, route.active, "route_config"));
  return {
    "@type": `${DUMP}RoutesConfigDump`,
    static_route_configs: inline.flatMap((route) => writer.state(route, route.active, "route_config")),
    dynamic_route_configs: [
      ...states,
      ...writer.refused(
        "route-configuration",
        routes.filter(({ active }) => active !== undefined),
      ),
    ],
  };
}

/** Keys and other things that nobody may see are "[redacted]", as everywhere. */
function secretsDump(writer: Writer, secrets: readonly AssembledResource[]): JsonObject {
  const states = (chosen: readonly AssembledResource[]): Json[] =>
    chosen.flatMap((secret) =>
      writer.state(secret, secret.active, "secret").map((state) => ({ name: secret.name, ...state })),
    );
  const dynamic = secrets.filter((secret) => !isStatic(secret));
  return {
    "@type": `${DUMP}SecretsConfigDump`,
    static_secrets: states(secrets.filter(isStatic)),
    dynamic_active_secrets: states(dynamic),
    dynamic_warming_secrets: dynamic
      .filter(({ active }) => active === undefined)
      .map(({ name }) => ({ name, ...writer.errorState("secret", name) })),
  };
}

function endpointsDump(
  writer: Writer,
  endpoints: readonly AssembledResource[],
  { resources, current }: ConfigDumpSubjects,
  named: NameFilter,
): JsonObject {
  const states = endpoints.flatMap((assignment) => writer.state(assignment, assignment.active, "endpoint_config"));
  const assignments = current().endpoints;
  const fixed = resources().filter(({ kind, name }) => kind === "cluster" && named(name) && assignments.has(name));
  return {
    "@type": `${DUMP}EndpointsConfigDump`,
    static_endpoint_configs: fixed.filter(hasOwnEndpoints).flatMap(({ name, source, active }) => {
      const version = active && { ...active, bytes: undefined, config: assignments.get(name) };
      const assignment = {
        kind: "endpoints",
        name,
        source,
        active: version,
        warming: undefined,
        waitingFor: [],
      } as const;
      return writer.state(assignment, version, "endpoint_config");
    }),
    dynamic_endpoint_configs: [
      ...states,
      ...writer.refused(
        "endpoints",
        endpoints.filter(({ active }) => active !== undefined),
      ),
    ],
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

  /** A version of a resource as Envoy's dump has it, in a list of one; of none where there is none. */
  state({ kind, name }: AssembledResource, version: Versioned<unknown> | undefined, field: string): JsonObject[] {
    if (version === undefined) return [];
    const type = this.#typeOf(kind);
    const typeName = typeNameOf(type.typeUrl);
    const json = toProtoJson(typeName, version.bytes ?? type.encode(version.config));
    if (!json.ok) throw new Error(`${kind} ${name} cannot be written: ${json.error}`);
    const message = redactSecrets(withProtoNames(typeName, json.value)) as JsonObject;
    return [
      {
        ...(version.version === "" ? {} : { version_info: version.version }),
        [field]: { "@type": type.typeUrl, ...message },
        last_updated: time(version.acceptedMs),
        ...(field === "listener" ? {} : this.errorState(kind, name)),
      },
    ];
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
