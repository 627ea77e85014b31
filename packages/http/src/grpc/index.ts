export { grpcStatusOf, isGrpcRequest, isGrpcResponse } from "./grpc-heads.ts";
export { decodeGrpcMessage, encodeGrpcMessage } from "./grpc-message.ts";
export { grpcMethodOf } from "./grpc-method.ts";
export { formatGrpcTimeout, parseGrpcTimeoutMs } from "./grpc-timeout.ts";
export { healthCheckResponse, readHealthCheckRequest, ServingStatus } from "./health-messages.ts";
export { GrpcMessageCounter } from "./message-counter.ts";
export { GrpcFrameFlag, type GrpcFrameSink, GrpcMessageReader, grpcMessageBytes } from "./message-framing.ts";
export { WebTextReader, WebTextWriter } from "./web-text.ts";
