import type { DownstreamInfo } from "@heddle/filter";
import { type ProxyAddresses, type ProxyHeader, type ProxyTlv, parseProxyHeader } from "@heddle/net";
import type { Counter, MetricScope } from "@heddle/telemetry";
import type { ProxyProtocolConfig, TlvChoice } from "@heddle/traffic";
import { type BytesFilter, type Inspection, MORE } from "./listener-filter.ts";

/**
 * `envoy.filters.listener.proxy_protocol`: takes the PROXY protocol header off a connection. The addresses that it tells are
 * the client's and the listener's from then on, for chains, filters and logs; the peer's own stays known as the direct one.
 */
export class ProxyProtocolFilter implements BytesFilter {
  readonly tellsWho = true;
  readonly #config: ProxyProtocolConfig;
  readonly #stats: ProxyProtocolStats;

  constructor(config: ProxyProtocolConfig, metrics: MetricScope) {
    this.#config = config;
    this.#stats = new ProxyProtocolStats(metrics, config.statPrefix);
  }

  inspect(bytes: Uint8Array, info: DownstreamInfo): Inspection {
    const { allowWithout, disallowedVersions } = this.#config;
    const parsed = parseProxyHeader(bytes);
    const version =
      parsed.type === "header" ? parsed.header.version : parsed.type === "none" ? undefined : parsed.version;
    // A version that is not allowed is not looked for: its signature is then somebody's data, or a reason to close.
    if (version !== undefined && disallowedVersions.includes(version)) {
      this.#stats.ofVersion(version).disallowed.add();
      if (allowWithout) return { type: "done", consumed: 0, info };
      return { type: "refuse", reason: `version ${version} of PROXY protocol is not allowed` };
    }
    switch (parsed.type) {
      case "more":
        return MORE;
      case "none":
        if (allowWithout) this.#stats.notFoundAllowed.add();
        else this.#stats.notFoundDisallowed.add();
        if (allowWithout) return { type: "done", consumed: 0, info };
        return { type: "refuse", reason: "it does not begin with PROXY protocol" };
      case "bad":
        this.#stats.ofVersion(parsed.version).error.add();
        return { type: "refuse", reason: `PROXY protocol version ${parsed.version}: ${parsed.reason}` };
      case "header":
        this.#stats.ofVersion(parsed.header.version).found.add();
        return { type: "done", consumed: parsed.length, info: this.#apply(parsed.header, info) };
      default:
        throw new Error(`unknown answer ${JSON.stringify(parsed satisfies never)}`);
    }
  }

  #apply({ addresses, tlvs }: ProxyHeader, info: DownstreamInfo): DownstreamInfo {
    const passed = tlvs.filter(({ type }) => chooses(this.#config.passThroughTlvs, type));
    const metadata = this.#metadata(tlvs);
    return {
      ...info,
      ...(addresses && {
        remoteAddress: addresses.sourceAddress,
        remotePort: addresses.sourcePort,
        localAddress: addresses.destinationAddress,
        localPort: addresses.destinationPort,
        direct: { remotePort: info.remotePort, localAddress: info.localAddress, localPort: info.localPort },
        ...restored(addresses, info),
      }),
      ...(passed.length > 0 && { proxyTlvs: passed }),
      ...(metadata.size > 0 && { metadata }),
    };
  }

  #metadata(tlvs: readonly ProxyTlv[]): Map<string, Map<string, unknown>> {
    const metadata = new Map<string, Map<string, unknown>>();
    for (const { tlvType, namespace, key } of this.#config.rules) {
      const tlv = tlvs.find(({ type }) => type === tlvType);
      if (tlv === undefined || key === "") continue;
      const values = metadata.get(namespace) ?? new Map<string, unknown>();
      metadata.set(namespace, values.set(key, Buffer.from(tlv.value).toString("utf8")));
    }
    return metadata;
  }
}

/** As in Envoy an address that another proxy tells is one that was put back: clusters of original destinations go by it. */
function restored(addresses: ProxyAddresses, info: DownstreamInfo): Pick<DownstreamInfo, "restored"> {
  const { destinationAddress, destinationPort } = addresses;
  if (destinationAddress === info.localAddress && destinationPort === info.localPort) return {};
  return { restored: info.restored ?? { listenPort: info.localPort } };
}

/** Whether TLVs of that type are among the chosen ones. */
export function chooses(choice: TlvChoice, type: number): boolean {
  return choice === "all" || choice.includes(type);
}

/** Envoy's names: `proxy_proto.[<stat_prefix>.]…` (config/listeners/listener_filters/proxy_protocol). */
class ProxyProtocolStats {
  readonly notFoundAllowed: Counter;
  readonly notFoundDisallowed: Counter;
  readonly #v1: VersionStats;
  readonly #v2: VersionStats;

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope(statPrefix === "" ? "proxy_proto" : `proxy_proto.${statPrefix}`);
    this.notFoundAllowed = scope.counter("not_found_allowed");
    this.notFoundDisallowed = scope.counter("not_found_disallowed");
    this.#v1 = versionStats(scope.scope("versions.v1"));
    this.#v2 = versionStats(scope.scope("versions.v2"));
  }

  ofVersion(version: 1 | 2): VersionStats {
    return version === 1 ? this.#v1 : this.#v2;
  }
}

interface VersionStats {
  readonly found: Counter;
  readonly disallowed: Counter;
  readonly error: Counter;
}

function versionStats(scope: MetricScope): VersionStats {
  return { found: scope.counter("found"), disallowed: scope.counter("disallowed"), error: scope.counter("error") };
}
