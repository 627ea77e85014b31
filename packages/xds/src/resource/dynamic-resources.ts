import { fieldOf, type Message } from "@heddle/proto";
import { type ApiOrigin, adsSource, type ConfigSource, type Discovery, type ResourceOrigin } from "@heddle/traffic";
import { parseXdstpName } from "../protocol/xdstp-name.ts";
import { decodeApi, decodeConfigSource } from "./config-source.ts";
import { Fields, Findings } from "./fields.ts";
import type { FieldReport } from "./resource-type.ts";

const DYNAMIC_RESOURCES = "envoy.config.bootstrap.v3.Bootstrap.DynamicResources";
const CLUSTER_MANAGER = "envoy.config.bootstrap.v3.ClusterManager";
const CONFIG_SOURCE = "envoy.config.core.v3.ConfigSource";

/** The fields of the bootstrap that this reads. */
export const DISCOVERY_FIELDS = [
  "dynamic_resources",
  "config_sources",
  "default_config_source",
  "cluster_manager",
] as const;

/** What a bootstrap says of where resources come from. */
export interface DiscoverySettings {
  /** The aggregated stream (`ads_config`), never REST. Left out: there is none. */
  readonly ads?: ApiOrigin;
  /** Left out: listeners (clusters) are static. */
  readonly listenerDiscovery?: Discovery;
  readonly clusterDiscovery?: Discovery;
  /** `cluster_manager.load_stats_config`: who is told what goes to which cluster. Left out: nobody. */
  readonly loadReports?: ApiOrigin;
  /** `config_sources`: who is asked for xdstp:// names of these authorities. */
  readonly authorities?: readonly AuthoritySource[];
  /** `default_config_source`: who is asked for xdstp:// names of all others. */
  readonly defaultAuthority?: ResourceOrigin;
}

export interface AuthoritySource {
  readonly names: readonly string[];
  readonly origin: ResourceOrigin;
}

export interface DiscoveryReading {
  readonly settings: DiscoverySettings;
  /** Each begins with its path. */
  readonly errors: readonly string[];
  readonly unhonoured: readonly FieldReport[];
}

/** Reads `dynamic_resources`, `config_sources`, `default_config_source` and `cluster_manager` of a bootstrap with these static clusters. */
export function decodeDiscovery(bootstrap: Message, staticClusters: ReadonlySet<string>): DiscoveryReading {
  const findings = new Findings();
  const reader = new DiscoveryReader(findings, staticClusters);
  const settings = reader.read(bootstrap);
  return { settings, errors: findings.errors, unhonoured: findings.unhonoured };
}

/** Who is asked for structured names (xdstp://), by their authority; undefined: whoever the name's own source says. */
export function authorityLookup({
  authorities = [],
  defaultAuthority,
}: DiscoverySettings): (name: string) => ResourceOrigin | undefined {
  const byName = new Map(authorities.flatMap(({ names, origin }) => names.map((name) => [name, origin] as const)));
  return (name) => {
    const parsed = parseXdstpName(name);
    return parsed.ok ? (byName.get(parsed.value.authority) ?? defaultAuthority) : undefined;
  };
}

type AuthorityOf = ReturnType<typeof authorityLookup>;

class DiscoveryReader {
  readonly #findings: Findings;
  readonly #staticClusters: ReadonlySet<string>;

  constructor(findings: Findings, staticClusters: ReadonlySet<string>) {
    this.#findings = findings;
    this.#staticClusters = staticClusters;
  }

  read(bootstrap: Message): DiscoverySettings {
    const message = fieldOf(bootstrap, "dynamic_resources") as Message | undefined;
    const dynamic = message && new Fields(DYNAMIC_RESOURCES, message, "dynamic_resources", this.#findings);
    const sources = (fieldOf(bootstrap, "config_sources") ?? []) as readonly Message[];
    const authorities = sources.map((source, index) => this.#authority(source, `config_sources[${index}]`));
    const fallback = fieldOf(bootstrap, "default_config_source") as Message | undefined;
    const manager = fieldOf(bootstrap, "cluster_manager") as Message | undefined;
    const known: DiscoverySettings = {
      ...(manager && this.#loadReports(new Fields(CLUSTER_MANAGER, manager, "cluster_manager", this.#findings))),
      ...(authorities.length > 0 && { authorities }),
      ...(fallback && { defaultAuthority: this.#authority(fallback, "default_config_source").origin }),
    };
    const settings = { ...(dynamic && this.#dynamic(dynamic, authorityLookup(known))), ...known };
    if (settings.ads === undefined) this.#requireAds(settings);
    return settings;
  }

  #dynamic(dynamic: Fields, authorityOf: AuthorityOf): DiscoverySettings {
    const ads = this.#ads(dynamic);
    const discovery = (field: "lds_config" | "cds_config", locator: string): Discovery | undefined => {
      const config = dynamic.message(field);
      if (config === undefined && locator === "") return undefined;
      const source = config === undefined ? adsSource : this.#source(config);
      if (locator === "") return { source, names: ["*"] };
      // It says by itself whom to ask.
      return { source: { ...source, from: authorityOf(locator) ?? source.from }, names: [locator] };
    };
    const listenerDiscovery = discovery("lds_config", dynamic.text("lds_resources_locator"));
    const clusterDiscovery = discovery("cds_config", dynamic.text("cds_resources_locator"));
    return {
      ...(ads && { ads }),
      ...(listenerDiscovery && { listenerDiscovery }),
      ...(clusterDiscovery && { clusterDiscovery }),
    };
  }

  #ads(dynamic: Fields): ApiOrigin | undefined {
    const config = dynamic.message("ads_config");
    if (config === undefined) return undefined;
    const apiType = config.enumName("api_type");
    if (apiType !== "GRPC" && apiType !== "DELTA_GRPC") {
      config.fail("api_type", "allowed are GRPC and DELTA_GRPC");
      return undefined;
    }
    const origin = decodeApi(config) as ApiOrigin; // of these types it is
    this.#checkServers(origin, config);
    return origin;
  }

  #loadReports(manager: Fields): Pick<DiscoverySettings, "loadReports"> {
    const config = manager.message("load_stats_config");
    if (config === undefined) return {};
    const origin = decodeApi(config);
    if (origin.type !== "api" || origin.apiType === "REST") {
      config.fail("api_type", "allowed are GRPC and DELTA_GRPC");
      return {};
    }
    this.#checkServers(origin, config);
    return { loadReports: origin };
  }

  #authority(message: Message, path: string): AuthoritySource {
    const fields = new Fields(CONFIG_SOURCE, message, path, this.#findings);
    const names = fields.messages("authorities").map((authority) => authority.text("name"));
    return { names, origin: this.#source(fields).from };
  }

  #source(fields: Fields): ConfigSource & { readonly from: ResourceOrigin } {
    const { from, initialFetchTimeoutMs } = decodeConfigSource(fields, true);
    if (from.type === "self") {
      fields.fail("self", "means nothing here: no resource has brought it; allowed are ads, files and API sources");
      return adsSource;
    }
    const api = from.type === "api" ? fields.message("api_config_source") : undefined;
    if (from.type === "api" && api !== undefined) this.#checkServers(from, api);
    return { from, initialFetchTimeoutMs };
  }

  /** Nobody could find a control plane whose address only a control plane knows. */
  #checkServers({ apiType, servers }: ApiOrigin, fields: Fields): void {
    for (const [index, { target }] of servers.entries()) {
      if (target.type !== "cluster" || this.#staticClusters.has(target.name)) continue;
      const at = apiType === "REST" ? "cluster_names[0]" : `grpc_services[${index}].envoy_grpc.cluster_name`;
      fields.fail(at, `found "${target.name}", which is no cluster of static_resources`);
    }
  }

  #requireAds({ listenerDiscovery, clusterDiscovery, authorities = [], defaultAuthority }: DiscoverySettings): void {
    const origins = [
      listenerDiscovery?.source.from,
      clusterDiscovery?.source.from,
      ...authorities.map(({ origin }) => origin),
      defaultAuthority,
    ];
    if (origins.every((origin) => origin?.type !== "ads") || this.#findings.errorCount > 0) return;
    this.#findings.error("dynamic_resources", "ads_config is missing, which a source of resources refers to");
  }
}
