export type {
  ClientConnection,
  ClientConnectionEvents,
  RequestDecoder,
  RequestEncoder,
  ResponseDecoder,
  ResponseEncoder,
  ServerConnection,
  ServerConnectionEvents,
  Transport,
} from "./codec.ts";
export { type HttpVersion, RequestHead, ResponseHead } from "./head.ts";
export { HeaderMap } from "./header-map.ts";
export { defaultHttpLimits, type HttpLimits } from "./limits.ts";
