import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials,
  InterceptingCall,
  type Interceptor,
} from "@grpc/grpc-js";
import { credentialsOfOneChannel } from "./credentials-of-one-channel.ts";
import { KEEPALIVE_TIMEOUT_MS } from "./keepalive-pace.ts";

/** A connection to a control plane, as far as xDS and what else it offers use it. A `grpc.Client` is one. */
export type XdsChannel = Pick<
  Client,
  "makeUnaryRequest" | "makeServerStreamRequest" | "makeBidiStreamRequest" | "getChannel" | "close"
>;

/** Makes a new connection, which asks that often whether anybody is still there. */
export type XdsDial = (keepaliveMs?: number) => XdsChannel;

export interface XdsDialOptions {
  /** Called for each connection, and makes new ones each time: certificates may have changed. Left out: plaintext. */
  readonly security?: () => ChannelCredentials;
  /** What the control plane is called in ":authority". Left out: the target's name. */
  readonly authority?: string;
  /** The name that TLS asks for and that the certificate is checked for. Left out: the target's. */
  readonly serverName?: string;
  /** Sent with each call. */
  readonly metadata?: readonly (readonly [name: string, value: string])[];
  /** The largest message that is taken. Left out: there is no limit. */
  readonly maxMessageBytes?: number;
}

const OPTIONS: ChannelOptions = {
  // A response of a large mesh has tens of megabytes; gRPC would stop at four.
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
  // Each attempt dials anew, with its own back-off: gRPC's, shared between channels to one address, stays out of it.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};

/** Of the connections of those who do not say: as gRPC's servers mostly allow it. */
const KEEPALIVE_MS = 40_000;

/**
 * Makes the dial function of an `XdsClient`: a new connection for each call, to each of the targets in turn. They are gRPC's
 * ("127.0.0.1:15010", "dns:///control-plane:15012", "unix:///run/heddle.sock"); a name is resolved anew each time.
 */
export function xdsDial(targets: string | readonly string[], options: XdsDialOptions = {}): XdsDial {
  const { security = () => credentials.createInsecure(), authority, serverName, metadata = [] } = options;
  const list = typeof targets === "string" ? [targets] : targets;
  const interceptors = metadata.length === 0 ? [] : [addMetadata(metadata)];
  let calls = 0;
  return (keepaliveMs = KEEPALIVE_MS) => {
    const target = list[calls++ % list.length]!; // there is at least one
    return new Client(target, credentialsOfOneChannel(security()), {
      ...OPTIONS,
      "grpc.keepalive_time_ms": keepaliveMs,
      ...(options.maxMessageBytes !== undefined && {
        "grpc.max_receive_message_length": options.maxMessageBytes,
      }),
      ...(authority !== undefined && { "grpc.default_authority": authority }),
      ...(serverName !== undefined && { "grpc.ssl_target_name_override": serverName }),
      interceptors,
    });
  };
}

function addMetadata(pairs: readonly (readonly [name: string, value: string])[]): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        for (const [name, value] of pairs) metadata.add(name, value);
        next(metadata, listener);
      },
    });
}
