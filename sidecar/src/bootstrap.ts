import { readFileSync } from "node:fs";
import { err, type JsonObject, ok, type Result } from "@heddle/base";
import {
  type BootstrapReading,
  type Diagnostic,
  formatDiagnostic,
  readBootstrap,
  type SidecarBootstrap,
  type StaticResourceTypes,
} from "@heddle/config";
import { adsSource, defaultTelemetry } from "@heddle/traffic";
import type { SidecarFlags } from "./flags.ts";
import { withOtelEnvironment } from "./otel-environment.ts";
import { podMetadata } from "./pod-environment.ts";

export interface SidecarStart {
  readonly bootstrap: SidecarBootstrap;
  /** What was set and has no effect, one line each. */
  readonly warnings: readonly string[];
}

const DEFAULT_CONTROL_PLANE = "127.0.0.1:15010";
/** Over TLS. */
const DEFAULT_SECURE_CONTROL_PLANE = "127.0.0.1:15012";
const DEFAULT_ADMIN = { type: "socket", address: "127.0.0.1", port: 15_000 } as const;

/**
 * What the sidecar starts from: the bootstrap that flags name, or the one that our own control plane needs (everything
 * by delta ADS). `controlPlane` is what the environment says, for where no flag does; of `environment`
 * OpenTelemetry's variables and those of a pod are read. `hasIdentity`: our own control plane is shown it. On failure every reason, one line each.
 */
export function sidecarBootstrap(
  flags: SidecarFlags,
  controlPlane: string | undefined,
  types: StaticResourceTypes,
  environment: Readonly<Record<string, string | undefined>> = {},
  hasIdentity = false,
): Result<SidecarStart, readonly string[]> {
  const reading =
    readConfig(flags, types) ?? ok(ownBootstrap(flags, controlPlane, hasIdentity, podMetadata(environment)));
  if (!reading.ok) return err(reading.error.map(formatDiagnostic));
  const { bootstrap: read, warnings } = reading.value;
  const telemetry = withOtelEnvironment(read.telemetry, environment, flags.nodeCluster ?? read.node.cluster);
  if (!telemetry.ok) return telemetry;
  const { id, cluster, locality } = read.node;
  const bootstrap: SidecarBootstrap = {
    ...read,
    ...(telemetry.value !== defaultTelemetry && { telemetry: telemetry.value }),
    node: {
      ...read.node,
      id: flags.nodeId ?? id,
      cluster: flags.nodeCluster ?? cluster,
      locality: { ...locality, zone: flags.nodeZone ?? locality.zone },
    },
    admin: flags.adminAddress ?? read.admin,
  };
  const missing = missingIdentity(flags, bootstrap);
  return missing.length > 0 ? err(missing) : ok({ bootstrap, warnings: warnings.map(formatDiagnostic) });
}

/** What the flags name as a bootstrap, read; undefined where they name none. */
export function readConfig(
  { configPath, configYaml, allowUnknownStaticFields }: SidecarFlags,
  types: StaticResourceTypes,
): Result<BootstrapReading, readonly Diagnostic[]> | undefined {
  const yaml = configYaml === undefined ? undefined : { file: "--config-yaml", text: configYaml };
  if (configPath === undefined) {
    const options = { allowUnknownFields: allowUnknownStaticFields };
    return yaml === undefined ? undefined : readBootstrap(yaml.file, yaml.text, types, options);
  }
  let text: string;
  try {
    text = readFileSync(configPath, "utf8");
  } catch (error) {
    const message = `cannot be read: ${(error as Error).message}`;
    return err([{ severity: "error", file: configPath, line: 0, column: 0, path: "", message }]);
  }
  return readBootstrap(configPath, text, types, {
    allowUnknownFields: allowUnknownStaticFields,
    ...(yaml !== undefined && { overlay: yaml }),
  });
}

function ownBootstrap(
  { nodeId = "", controlPlane }: SidecarFlags,
  fromEnvironment: string | undefined,
  hasIdentity: boolean,
  metadata: JsonObject,
): BootstrapReading {
  const byDefault = hasIdentity ? DEFAULT_SECURE_CONTROL_PLANE : DEFAULT_CONTROL_PLANE;
  const target = controlPlane ?? fromEnvironment ?? byDefault;
  return {
    bootstrap: {
      node: { id: nodeId, cluster: nodeId.split("/")[1] ?? "", metadata, locality: NOWHERE },
      listeners: [],
      clusters: [],
      secrets: [],
      discovery: ownDiscovery(target, hasIdentity),
      admin: DEFAULT_ADMIN,
      runtimeLayers: [],
      document: {},
    },
    warnings: [],
  };
}

/** Everything by delta ADS. */
function ownDiscovery(address: string, hasIdentity: boolean): SidecarBootstrap["discovery"] {
  const target = { type: "address", address } as const;
  const servers = [{ target, ...(hasIdentity && { byIdentity: true as const }) }];
  const all = { source: adsSource, names: ["*"] };
  return {
    ads: { type: "api", apiType: "DELTA_GRPC", servers, refreshDelayMs: 0, requestTimeoutMs: 1000 },
    listenerDiscovery: all,
    clusterDiscovery: all,
  };
}

const NOWHERE = { region: "", zone: "", subZone: "" };

/** Whether any control plane is asked for anything, rather than files. */
function asksSomebody({
  ads,
  listenerDiscovery,
  clusterDiscovery,
  authorities = [],
  defaultAuthority,
}: Discovery): boolean {
  const origins = [listenerDiscovery?.source.from, clusterDiscovery?.source.from, defaultAuthority];
  for (const { origin } of authorities) origins.push(origin);
  return ads !== undefined || origins.some((origin) => origin?.type === "api");
}

type Discovery = SidecarBootstrap["discovery"];

/** A control plane decides by id (and Envoy insists on cluster as well) what a node gets. */
function missingIdentity(flags: SidecarFlags, { discovery, node }: SidecarBootstrap): string[] {
  if (!asksSomebody(discovery)) return [];
  if (flags.configPath === undefined && flags.configYaml === undefined) {
    if (node.id === "") return ["name a bootstrap with -c, or this node with --node-id; see --help"];
    return /^[^/]+\/[^/]+\/[^/]+$/.test(node.id)
      ? []
      : [`--node-id: found "${node.id}", allowed is <namespace>/<workload>/<instance>`];
  }
  const missing: string[] = [];
  if (node.id === "") missing.push("node.id is missing; write it into the bootstrap or give --node-id");
  if (node.cluster === "") missing.push("node.cluster is missing; write it into the bootstrap or give --node-cluster");
  return missing;
}
