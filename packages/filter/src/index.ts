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
} from "./http-filter.ts";
export { formatResponseFlags, ResponseFlag } from "./response-flags.ts";
