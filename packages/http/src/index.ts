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
export {
  decodeGrpcMessage,
  encodeGrpcMessage,
  formatGrpcTimeout,
  GrpcFrameFlag,
  GrpcMessageCounter,
  GrpcMessageReader,
  grpcMessageBytes,
  grpcMethodOf,
  grpcStatusOf,
  healthCheckResponse,
  isGrpcRequest,
  isGrpcResponse,
  ProtobufReader,
  ProtobufWriter,
  parseGrpcTimeoutMs,
  readHealthCheckRequest,
  ServingStatus,
  WebTextReader,
  WebTextWriter,
  WireType,
} from "./grpc/index.ts";
export { H1ClientConnection, type H1ClientOptions } from "./h1/client-connection.ts";
export type { HeaderNameFormat } from "./h1/header-names.ts";
export { H1ServerConnection, type H1ServerOptions } from "./h1/server-connection.ts";
export { standardPhrase } from "./h1/status-phrases.ts";
export { H2ClientConnection } from "./h2/client-connection.ts";
export type { H2ClientOptions, H2Options, H2ServerOptions } from "./h2/h2-options.ts";
export { type H2Counter, type H2Stats, noH2Stats } from "./h2/h2-stats.ts";
export { H2ServerConnection } from "./h2/server-connection.ts";
export { type HttpVersion, RequestHead, ResponseHead } from "./head.ts";
export { HeaderMap } from "./header-map.ts";
export { defaultHttpLimits, type HttpLimits } from "./limits.ts";
