import { type ChainExchange, type HttpFilterFactory, type LocalReply, ResponseFlag } from "@heddle/filter";

/* In place of a filter whose configuration has not come (ECDS) and that has no default: no request passes it, as in Envoy. */

const MISSING: LocalReply = {
  status: 500,
  details: "filter_config_not_found",
  flags: ResponseFlag.NoFilterConfigFound,
};

export const missingConfigFactory: HttpFilterFactory = {
  create: () => ({
    requestHead(exchange) {
      exchange.reply(MISSING);
      return "pause";
    },
  }),
};

/** The same at the end of a chain. */
export const missingTerminalFactory: HttpFilterFactory = {
  create: () => ({}),
  createTerminal: (exchange: ChainExchange) => ({
    onRequestHead: () => exchange.reply(MISSING),
    onRequestData: () => true,
    onRequestTrailers() {},
    pauseResponse() {},
    resumeResponse() {},
    cancel() {},
  }),
};
