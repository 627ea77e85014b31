import type { Json } from "@heddle/base";
import type { AssembledResource, SidecarBootstrap, Versioned } from "@heddle/config";
import { toProtoJson, typeNameOf } from "@heddle/proto";
import { type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import type { ResourceKind, ResourceType } from "@heddle/xds";
import type { ResourceStatus } from "@heddle/xds/client";
import { addressJson } from "./address-form.ts";
import { withProtoNames } from "./proto-names.ts";

/** What `/config_dump` shows. */
export interface ConfigDumpSubjects {
  readonly bootstrap: SidecarBootstrap;
  readonly startedWallMs: number;
  readonly resources: () => readonly AssembledResource[];
  /** Of dynamic resources, for what was refused; empty without a control plane. */
  readonly statuses: () => readonly ResourceStatus[];
  readonly typeOf: (kind: ResourceKind) => ResourceType<unknown>;
}

const DUMP = "type.googleapis.com/envoy.admin.v3.";

/**
 * `/config_dump` in the shape of Envoy's (`envoy.admin.v3.ConfigDump`): what serves, what warms, and what was refused. The
 * messages are what we understood, written again: a field that is missing here has no effect. Secrets are not in it.
 */
export function configDumpPage(subjects: ConfigDumpSubjects): AdminPage {
  return {
    path: "/config_dump",
    method: "GET",
    help: "listeners, routes, clusters and endpoints, serving and warming (?include_eds)",
    answer: (query) => jsonAnswer(configDump(subjects, query.has("include_eds"))),
  };
}

function configDump(subjects: ConfigDumpSubjects, includeEds: boolean): Json {
  const resources = subjects.resources();
  const of = (kind: ResourceKind): readonly AssembledResource[] =>
    resources.filter((resource) => resource.kind === kind);
  const writer = new Writer(subjects);
  const configs: Json[] = [
    bootstrapDump(subjects),
    clustersDump(writer, of("cluster")),
    listenersDump(writer, of("listener")),
    routesDump(writer, of("route-configuration")),
  ];
  if (includeEds) configs.push(endpointsDump(writer, of("endpoints")));
  return { configs };
}

function bootstrapDump({ bootstrap, startedWallMs }: ConfigDumpSubjects): Json {
  const { node, xds, admin } = bootstrap;
  const { subZone, ...locality } = node.locality;
  return {
    "@type": `${DUMP}BootstrapConfigDump`,
    bootstrap: {
      node: {
        id: node.id,
        cluster: node.cluster,
        metadata: node.metadata as Json,
        locality: { ...locality, sub_zone: subZone },
      },
      ...(admin === undefined ? {} : { admin: { address: addressJson(admin) } }),
      ...(xds === undefined
        ? {}
        : { dynamic_resources: { ads_config: { api_type: xds.variant === "delta" ? "DELTA_GRPC" : "GRPC" } } }),
    },
    last_updated: time(startedWallMs),
  };
}

function clustersDump(writer: Writer, clusters: readonly AssembledResource[]): Json {
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

function listenersDump(writer: Writer, listeners: readonly AssembledResource[]): Json {
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

function routesDump(writer: Writer, routes: readonly AssembledResource[]): Json {
  const states = routes.flatMap((route) => writer.state(route, route.active, "route_config"));
  return {
    "@type": `${DUMP}RoutesConfigDump`,
    dynamic_route_configs: [
      ...states,
      ...writer.refused(
        "route-configuration",
        routes.filter(({ active }) => active !== undefined),
      ),
    ],
  };
}

function endpointsDump(writer: Writer, endpoints: readonly AssembledResource[]): Json {
  const states = endpoints.flatMap((assignment) => writer.state(assignment, assignment.active, "endpoint_config"));
  return {
    "@type": `${DUMP}EndpointsConfigDump`,
    dynamic_endpoint_configs: [
      ...states,
      ...writer.refused(
        "endpoints",
        endpoints.filter(({ active }) => active !== undefined),
      ),
    ],
  };
}

class Writer {
  readonly #typeOf: ConfigDumpSubjects["typeOf"];
  readonly #refused: ReadonlyMap<string, ResourceStatus>;

  constructor({ typeOf, statuses }: ConfigDumpSubjects) {
    this.#typeOf = typeOf;
    const refused = statuses().filter(({ errors }) => errors.length > 0);
    this.#refused = new Map(refused.map((status) => [`${status.kind}/${status.name}`, status]));
  }

  /** A version of a resource as Envoy's dump has it, in a list of one; of none where there is none. */
  state(
    { kind, name }: AssembledResource,
    version: Versioned<unknown> | undefined,
    field: string,
  ): { [key: string]: Json }[] {
    if (version === undefined) return [];
    const type = this.#typeOf(kind);
    const typeName = typeNameOf(type.typeUrl);
    const json = toProtoJson(typeName, type.encode(version.config));
    if (!json.ok) throw new Error(`${kind} ${name} cannot be written: ${json.error}`);
    const message = withProtoNames(typeName, json.value) as { readonly [key: string]: Json };
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
  errorState(kind: ResourceKind, name: string): { [key: string]: Json } {
    const status = this.#refused.get(`${kind}/${name}`);
    return status === undefined ? {} : { error_state: errorState(status) };
  }

  /** Refused resources of which no version is held. */
  refused(kind: ResourceKind, held: readonly AssembledResource[]): { [key: string]: Json }[] {
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
