import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { type EncodedResource, resourceFromJson, type Snapshot } from "@heddle/xds";
import { type NodeStatus, XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { quietLog, quietMetrics, SettableSource } from "@heddle/xds/testing";
import { type Json, socketAddress } from "./envoy-config.ts";
import type { Owner } from "./owner.ts";

const TYPES = {
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  routes: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoints: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  runtime: "type.googleapis.com/envoy.service.runtime.v3.Runtime",
  extensions: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
  virtualHosts: "type.googleapis.com/envoy.config.route.v3.VirtualHost",
  secrets: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
} as const;

/** Resources as JSON, in Envoy's names. */
export interface World {
  readonly listeners?: readonly Json[];
  readonly routes?: readonly Json[];
  readonly clusters?: readonly Json[];
  readonly endpoints?: readonly Json[];
  readonly runtime?: readonly Json[];
  readonly extensions?: readonly Json[];
  /** By the names of the resources: "<route configuration>/<domain>". */
  readonly virtualHosts?: Readonly<Record<string, Json>>;
  readonly secrets?: readonly Json[];
}

/** An ADS server whose resources a test sets by hand. */
export interface TestControlPlane {
  readonly port: number;
  /** Who is connected, and what each has. */
  nodes(): readonly NodeStatus[];
  set(world: World): void;
  /** Asked with each name that a node asks for and that is not there; may `set` it before the answer. Names are kept. */
  onRequest(listener: (name: string) => void): readonly string[];
  /** Why the sidecar has rejected the last version of a type; undefined where it has not. */
  rejection(type: keyof typeof TYPES): string | undefined;
  /**
   * Whether all that has been sent has been accepted. A `set` sends in turns to come, one type after another, so this tells
   * that a rejection is over, and not that what was set is in force.
   */
  readonly settled: boolean;
  /** Ends it before its owner does: its connections too. */
  stop(): void;
}

/** @param atPort 0 for a free one, or that of one that was stopped. */
export async function startControlPlane(
  owner: Owner,
  world: World = {},
  atPort = 0,
  security: ServerCredentials = ServerCredentials.createInsecure(),
): Promise<TestControlPlane> {
  const source = new SettableSource(snapshotOf(world));
  const xds = new XdsServer({ source, log: quietLog, metrics: quietMetrics, clock: systemClock, identifier: "test" });
  const server = new Server(xdsServerOptions);
  xds.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${atPort}`, security, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const stop = (): void => {
    xds.close();
    server.forceShutdown();
  };
  owner.after(stop);
  const types = () => xds.nodes()[0]?.types ?? [];
  return {
    port,
    stop,
    nodes: () => xds.nodes(),
    onRequest(listener) {
      const asked: string[] = [];
      source.onRequest = (name) => {
        asked.push(name);
        listener(name);
      };
      return asked;
    },
    set: (next) => source.set(snapshotOf(next)),
    rejection: (type) => types().find(({ typeUrl }) => typeUrl === TYPES[type])?.rejected?.message,
    get settled() {
      return types().every(
        ({ ackedVersion, sentVersion, rejected }) => rejected === undefined && ackedVersion === sentVersion,
      );
    },
  };
}

/** A bootstrap that gets everything from there. */
export function adsBootstrap(at: number | Json, variant: "sotw" | "delta"): Json {
  const viaAds = { ads: {}, resource_api_version: "V3" };
  return {
    node: { id: "default/test/1", cluster: "test" },
    dynamic_resources: {
      lds_config: viaAds,
      cds_config: viaAds,
      ads_config: {
        api_type: variant === "sotw" ? "GRPC" : "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
      },
    },
    static_resources: {
      clusters: [
        {
          name: "xds",
          type: "STATIC",
          connect_timeout: "20s",
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: "xds",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: typeof at === "number" ? socketAddress(at) : at } }] }],
          },
        },
      ],
    },
  };
}

/** For `routes` of a listener. */
export function rds(routeConfigName: string): Json {
  return {
    rds: { config_source: { ads: {}, resource_api_version: "V3" }, route_config_name: routeConfigName },
  };
}

/** A cluster whose endpoints come by EDS. */
export function edsCluster(name: string, fields: Json = {}): Json {
  return {
    name,
    type: "EDS",
    connect_timeout: "20s",
    eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } },
    ...fields,
  };
}

function snapshotOf(world: World): Snapshot {
  const { listeners = [], routes = [], clusters = [], endpoints = [], runtime = [], extensions = [] } = world;
  const { secrets = [] } = world;
  const virtualHosts = Object.entries(world.virtualHosts ?? {}).map(([name, host]) => ({
    "@type": "type.googleapis.com/envoy.service.discovery.v3.Resource",
    name,
    resource: { "@type": TYPES.virtualHosts, ...host },
  }));
  return {
    resources: new Map([
      [TYPES.listener, encoded(TYPES.listener, listeners)],
      [TYPES.routes, encoded(TYPES.routes, routes)],
      [TYPES.cluster, encoded(TYPES.cluster, clusters)],
      [TYPES.endpoints, encoded(TYPES.endpoints, endpoints)],
      [TYPES.runtime, encoded(TYPES.runtime, runtime)],
      [TYPES.extensions, encoded(TYPES.extensions, extensions)],
      [TYPES.virtualHosts, encoded(TYPES.virtualHosts, virtualHosts)],
      [TYPES.secrets, encoded(TYPES.secrets, secrets)],
    ]),
  };
}

function encoded(type: string, resources: readonly Json[]): Map<string, EncodedResource> {
  return new Map(
    resources.map((resource) => {
      const read = resourceFromJson({ "@type": type, ...resource });
      assert.ok(read.ok, read.ok ? "" : JSON.stringify(read.error));
      const { name, bytes } = read.value;
      return [name, { name, version: createHash("sha256").update(bytes).digest("base64url").slice(0, 16), bytes }];
    }),
  );
}
