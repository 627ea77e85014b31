import { type Clock, err, ok, type Result } from "@heddle/base";
import type { Log, MetricScope } from "@heddle/telemetry";
import { type ApiOrigin, describeOrigin, type FileOrigin, type ResourceOrigin } from "@heddle/traffic";
import type { ResourceKind, ResourceTypes, ResourceUpdate, XdsNode } from "@heddle/xds";
import {
  type ClientResourceType,
  type LoadReportClient,
  RestClient,
  updateMetrics,
  XdsClient,
  type XdsClientOptions,
  type XdsDial,
} from "@heddle/xds/client";
import { type LoadReportsOptions, loadReports } from "../load/load-reports.ts";
import { brokenFeed } from "./broken-feed.ts";
import { dialOf, restEndpointsOf, type ServerDirectory } from "./discovery-server.ts";
import { ResourceFile } from "./resource-file.ts";
import type { ResourceFeed } from "./resource-sources.ts";

/** What sources are made of. */
export interface SourceParts {
  readonly directory: ServerDirectory;
  readonly types: ResourceTypes;
  readonly node: XdsNode;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly random: () => number;
  readonly onUpdate: (update: ResourceUpdate) => void;
}

/** The aggregated stream. On failure: why nobody can be dialled. */
export function openAds(
  origin: ApiOrigin,
  parts: SourceParts,
  more: Pick<XdsClientOptions, "onStatus" | "onConnected">,
): Result<XdsClient, string> {
  const dials = dialsOf(origin, parts);
  if (!dials.ok) return dials;
  const types = Object.values(parts.types);
  return ok(new XdsClient({ ...streamOptions(origin, dials.value, parts), types, ...more }));
}

/**
 * Who is told what goes to which cluster (`load_stats_config`); not started yet. Of several servers the first is told. On
 * failure: why nobody can be dialled.
 */
export function openLoadReports(
  origin: ApiOrigin,
  parts: SourceParts,
  more: Pick<LoadReportsOptions, "workers" | "config">,
): Result<LoadReportClient, string> {
  const dials = dialsOf(origin, parts);
  if (!dials.ok) return dials;
  const { node, clock, metrics, random } = parts;
  const log = parts.log.with({ part: "load reports" });
  return ok(loadReports({ dial: dials.value[0], node, clock, log, metrics, random, ...more }));
}

/** What brings resources of that kind from anywhere else. One that cannot work says so in the log, and brings nothing. */
export function openSource(kind: ResourceKind, origin: ResourceOrigin, parts: SourceParts): ResourceFeed {
  const type = (parts.types as Readonly<Partial<Record<ResourceKind, ClientResourceType>>>)[kind];
  const feed = type === undefined ? err("this kind cannot be read") : openFeed(type, origin, parts);
  if (feed.ok) return feed.value;
  parts.log.error("a source of resources cannot be used", { kind, source: describeOrigin(origin), reason: feed.error });
  return brokenFeed(feed.error);
}

function openFeed(type: ClientResourceType, origin: ResourceOrigin, parts: SourceParts): Result<ResourceFeed, string> {
  switch (origin.type) {
    case "ads":
      return err("there is one aggregated stream, and it is open");
    case "file":
      return ok(openFile(type, origin, parts));
    case "api":
      return origin.apiType === "REST" ? openRest(type, origin, parts) : openStream(type, origin, parts);
  }
}

function openFile(type: ClientResourceType, origin: FileOrigin, parts: SourceParts): ResourceFeed {
  const { clock, log, onUpdate, metrics } = parts;
  return new ResourceFile({ origin, type, clock, log, onUpdate, metrics: updateMetrics(metrics, type.kind) });
}

function openStream(type: ClientResourceType, origin: ApiOrigin, parts: SourceParts): Result<ResourceFeed, string> {
  const dials = dialsOf(origin, parts);
  if (!dials.ok) return dials;
  const options = streamOptions(origin, dials.value, parts);
  return ok(new XdsClient({ ...options, types: [type], service: type.kind, origin }));
}

function openRest(type: ClientResourceType, origin: ApiOrigin, parts: SourceParts): Result<ResourceFeed, string> {
  const [server] = origin.servers;
  if (server?.target.type !== "cluster") return err("REST needs a cluster");
  const endpoints = restEndpointsOf(server.target.name, parts.directory);
  if (!endpoints.ok) return endpoints;
  const { refreshDelayMs, requestTimeoutMs } = origin;
  const host = server.target.name; // as Envoy has it
  return ok(
    new RestClient({ ...parts, type, endpoints: endpoints.value, host, refreshDelayMs, requestTimeoutMs, origin }),
  );
}

function dialsOf({ servers }: ApiOrigin, { directory }: SourceParts): Result<readonly [XdsDial, ...XdsDial[]], string> {
  const dials: XdsDial[] = [];
  for (const server of servers) {
    const dial = dialOf(server, directory);
    if (!dial.ok) return dial;
    dials.push(dial.value);
  }
  const [first, ...others] = dials;
  return first === undefined ? err("it names no server") : ok([first, ...others]);
}

function streamOptions(
  { apiType, rateLimit }: ApiOrigin,
  [dial, ...fallbacks]: readonly [XdsDial, ...XdsDial[]],
  { node, clock, log, metrics, random, onUpdate }: SourceParts,
) {
  return {
    dial,
    fallbacks,
    variant: apiType === "DELTA_GRPC" ? "delta" : "sotw",
    ...(rateLimit && { rateLimit }),
    node,
    clock,
    log: log.with({ part: "xds" }),
    metrics,
    random,
    onUpdate,
  } as const;
}
