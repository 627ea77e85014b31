/** `envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`, decoded. Plain JSON data. */
export interface ProxyProtocolConfig {
  /** TLVs whose value becomes metadata of the connection. */
  readonly rules: readonly ProxyTlvRule[];
  /** A connection without a header is served as it is. Only for listeners that nobody but friends can reach. */
  readonly allowWithout: boolean;
  readonly disallowedVersions: readonly (1 | 2)[];
  /** TLVs that an upstream's PROXY protocol may pass on. */
  readonly passThroughTlvs: TlvChoice;
  readonly statPrefix: string; // "" for none
}

export interface ProxyTlvRule {
  readonly tlvType: number; // 0 to 255
  readonly namespace: string;
  readonly key: string;
}

/** All types, or those of the list: an empty one chooses none. */
export type TlvChoice = "all" | readonly number[];

/** `envoy.config.core.v3.ProxyProtocolConfig`: what connections to a cluster begin with. Plain JSON data. */
export interface UpstreamProxyProtocol {
  readonly version: 1 | 2;
  readonly passThroughTlvs: TlvChoice;
}
