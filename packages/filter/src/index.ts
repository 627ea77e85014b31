export { formatResponseFlags, ResponseFlag } from "@heddle/telemetry";
export type { Cancellable } from "./belonging.ts";
export { ByteHold } from "./byte-hold.ts";
export { ChainExchange, type ChainRoute } from "./chain-exchange.ts";
export { DENIED_BY_HEADER, denial, EXPLAIN_HEADER } from "./denial.ts";
export type {
  DownstreamInfo,
  Exchange,
  LocalReply,
  MatchedRoute,
  SideRequest,
  SideResponse,
  UpstreamChoice,
  UpstreamInfo,
} from "./exchange.ts";
export { type ChainPlace, FilterChain, type FilterOverrides, type TerminalFilter } from "./filter-chain.ts";
export {
  type ConfigIssue,
  type DataResult,
  defineFilter,
  type FilterContext,
  type FilterModule,
  type HeadResult,
  type HttpFilter,
  type HttpFilterFactory,
  type HttpFilterType,
  type TrailersResult,
} from "./http-filter.ts";
export { HttpFilterRegistry } from "./registry.ts";
export { readCode, watchRunningCode } from "./running-code.ts";
export { UpstreamState } from "./upstream-state.ts";
