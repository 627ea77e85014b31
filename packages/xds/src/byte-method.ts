/** What a gRPC method needs to be told of one whose messages stay bytes. */
export interface ByteMethod<RequestStream extends boolean, ResponseStream extends boolean> {
  readonly path: string;
  readonly requestStream: RequestStream;
  readonly responseStream: ResponseStream;
  readonly requestSerialize: typeof asIs;
  readonly requestDeserialize: typeof asIs;
  readonly responseSerialize: typeof asIs;
  readonly responseDeserialize: typeof asIs;
}

/**
 * A method of a gRPC service whose messages stay bytes: they are decoded and put together outside gRPC, where errors are
 * ours. `path` is `/package.Service/Method`.
 */
export function byteMethod<RequestStream extends boolean, ResponseStream extends boolean>(
  path: string,
  requestStream: RequestStream,
  responseStream: ResponseStream,
): ByteMethod<RequestStream, ResponseStream> {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

/** Serialises what is serialised already. */
export function asIs(bytes: Buffer): Buffer {
  return bytes;
}
