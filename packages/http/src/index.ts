export type {
  ClientConnection,
  ClientConnectionEvents,
  Refusal,
  RequestDecoder,
  RequestEncoder,
  ResponseDecoder,
  ResponseEncoder,
  ServerConnection,
  ServerConnectionEvents,
  Transport,
} from "./codec.ts";
export { H1ClientConnection, type H1ClientOptions } from "./h1/client-connection.ts";
export type { HeaderNameFormat } from "./h1/header-names.ts";
export { H1ServerConnection, type H1ServerOptions } from "./h1/server-connection.ts";
export { standardPhrase } from "./h1/status-phrases.ts";
export { type HttpVersion, RequestHead, ResponseHead } from "./head.ts";
export { HeaderMap } from "./header-map.ts";
export { defaultHttpLimits, type HttpLimits } from "./limits.ts";
