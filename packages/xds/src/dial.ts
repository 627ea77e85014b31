import { type ChannelCredentials, type ChannelOptions, Client, credentials } from "@grpc/grpc-js";

/** A connection to a control plane, as far as xDS uses it. A `grpc.Client` is one. */
export type XdsChannel = Pick<Client, "makeBidiStreamRequest" | "getChannel" | "close">;

const OPTIONS: ChannelOptions = {
  // A response of a large mesh has tens of megabytes; gRPC would stop at four.
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  // A control plane that has vanished without a word is noticed within 50 s. Not more often: servers in the manner of
  // go-control-plane's close connections that ping more than once in 30 s.
  "grpc.keepalive_time_ms": 40_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // Each attempt dials anew, with its own back-off: gRPC's, shared between channels to one address, stays out of it.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};

/**
 * Makes the dial function of an `XdsClient`: a new connection for each call. `target` is gRPC's ("127.0.0.1:15010",
 * "dns:///control-plane:15012", "unix:///run/heddle.sock").
 */
export function xdsDial(target: string, security: ChannelCredentials = credentials.createInsecure()): () => XdsChannel {
  return () => new Client(target, security, OPTIONS);
}
