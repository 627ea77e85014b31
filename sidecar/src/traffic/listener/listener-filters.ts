import type { DownstreamInfo } from "@heddle/filter";
import type { ListenerConfig, ListenerFilterConfig, ListenerFilterMatch } from "@heddle/traffic";
import { HttpInspector } from "./http-inspector.ts";
import type { ListenerEnv } from "./listener-env.ts";
import type { AppliedFilter, ListenerFilter } from "./listener-filter.ts";
import { OriginalDstFilter } from "./original-dst-filter.ts";
import { OriginalSrcFilter } from "./original-src-filter.ts";
import { ProxyProtocolFilter } from "./proxy-protocol-filter.ts";
import { ServerFirst } from "./server-first.ts";
import { TlsInspector } from "./tls-inspector.ts";

/** Those of a listener, in their order. None: its connections are served at once. */
export function listenerFilters(config: ListenerConfig, env: FilterEnv): readonly AppliedFilter[] {
  const applied = config.listenerFilters.flatMap((filter): AppliedFilter[] => {
    const made = makeFilter(filter, config, env);
    return made === undefined ? [] : [{ filter: made, isDisabled: filter.disabled && matcher(filter.disabled) }];
  });
  if (config.useOriginalDst !== true) return applied;
  // As in Envoy `use_original_dst` brings the filter along, as the last.
  return [...applied, { filter: originalDst(config, env), isDisabled: undefined }];
}

type FilterEnv = Pick<ListenerEnv, "metrics" | "originalDestination">;

function makeFilter(
  config: ListenerFilterConfig,
  listener: ListenerConfig,
  env: FilterEnv,
): ListenerFilter | undefined {
  const { metrics } = env;
  switch (config.type) {
    case "proxy-protocol":
      return new ProxyProtocolFilter(config.config, metrics);
    case "tls-inspector":
      return new TlsInspector(config.maxClientHelloBytes, metrics);
    case "http-inspector":
      return new HttpInspector(metrics);
    case "original-dst":
      return originalDst(listener, env);
    case "original-src":
      return new OriginalSrcFilter(config.mark);
    case "server-first":
      return undefined; // it looks at nothing: see `serverFirst`
    case "discovered":
    case "missing":
      return undefined; // with one that is missing no connection gets so far
    case "extension":
      return undefined; // those that are accepted are told to have no effect
    default:
      throw new Error(`unknown listener filter ${JSON.stringify(config satisfies never)}`);
  }
}

/** When it has its say; undefined: the listener has none. */
export function serverFirst(config: ListenerConfig, env: Pick<ListenerEnv, "metrics">): ServerFirst | undefined {
  const filter = config.listenerFilters.find(({ type }) => type === "server-first");
  if (filter?.type !== "server-first") return undefined;
  return new ServerFirst(filter.afterMs, filter.disabled && matcher(filter.disabled), env.metrics);
}

function originalDst({ transparent, address }: ListenerConfig, env: FilterEnv): OriginalDstFilter {
  const transparentPort = transparent === true && address.type === "socket" ? address.port : undefined;
  return new OriginalDstFilter(transparentPort, env.originalDestination);
}

function matcher(match: ListenerFilterMatch): (info: DownstreamInfo) => boolean {
  switch (match.type) {
    case "any":
      return () => true;
    case "not": {
      const inner = matcher(match.rule);
      return (info) => !inner(info);
    }
    case "and": {
      const all = match.rules.map(matcher);
      return (info) => all.every((matches) => matches(info));
    }
    case "or": {
      const any = match.rules.map(matcher);
      return (info) => any.some((matches) => matches(info));
    }
    case "destination-port":
      return ({ localPort }) => match.start <= localPort && localPort < match.end;
    default:
      throw new Error(`unknown match ${JSON.stringify(match satisfies never)}`);
  }
}
