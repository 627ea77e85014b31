import type { ListenerFilterConfig, NetworkFilterConfig } from "../listener/listener-config.ts";
import { type ConfigSource, nameFrom } from "../source/config-source.ts";
import type { TypedConfig } from "../typed-config.ts";

/* Extension configuration discovery (ECDS), decoded. Plain JSON data: it crosses to the workers. */

/** `envoy.config.core.v3.TypedExtensionConfig`: the configuration of the filter of that name. */
export interface ExtensionConfig {
  readonly name: string;
  readonly config: TypedConfig;
  /** It is one of a network filter, or of a listener filter, read. Left out of both: of an HTTP filter. */
  readonly network?: NetworkFilterConfig;
  readonly listener?: ListenerFilterConfig;
}

/** `envoy.config.core.v3.ExtensionConfigSource`: a filter whose configuration comes by ECDS, under the filter's name. */
export interface ExtensionDiscovery {
  /** Left out: the aggregated stream. */
  readonly source?: ConfigSource;
  /** Full names of the messages that may come; never empty. */
  readonly types: readonly string[];
  /** Its default serves until something comes, and nothing waits (`apply_default_config_without_warming`). */
  readonly startsWithDefault?: true;
}

/** Stands for the configuration of a filter that has none, neither discovered nor by default: requests get 500. */
export const MISSING_CONFIG_TYPE = "heddle.filters.http.v1.MissingConfig";

export function missingConfig(name: string): TypedConfig {
  return { name, type: MISSING_CONFIG_TYPE, config: null };
}

/** Under which key the configuration of a filter crosses: its name, told apart by where it comes from. */
export function extensionKey(name: string, { source }: ExtensionDiscovery): string {
  return nameFrom(name, source?.from);
}
