import type { Clock } from "@heddle/base";
import {
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryResponse,
  encodeDeltaDiscoveryRequest,
  encodeDiscoveryRequest,
} from "@heddle/proto";
import { deltaClient } from "./protocol/client-delta.ts";
import type { ClientResourceType, ResourceStatus } from "./protocol/client-resources.ts";
import { ClientSession } from "./protocol/client-session.ts";
import { sotwClient } from "./protocol/client-sotw.ts";
import type { ReceiveOutcome } from "./protocol/client-type.ts";
import { streamPath } from "./protocol/discovery-services.ts";
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "./protocol/wire.ts";
import { readResourceErrors } from "./protocol/wire-reader.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import type { XdsNode } from "./snapshot.ts";
import type { ResourceUpdate } from "./subscription.ts";

/** A client's session as the stream sees it: bytes in, bytes out, whatever the variant. */
export interface ClientWire {
  /** Of the gRPC method. */
  readonly path: string;
  readonly wantsAnything: boolean;
  /** `otherServer`: not the one whose versions are held. */
  openStream(otherServer: boolean): void;
  closeStream(): void;
  /** For good: nothing is called back any more. */
  close(): void;
  subscribe(kind: ResourceKind, names: ReadonlySet<string>): void;
  /** Adds and takes away single names. */
  adjust(kind: ResourceKind, add: readonly string[], drop: readonly string[]): void;
  /** Throws on bytes that are no response. `outcome` is undefined when the type was never asked for. */
  receive(bytes: Uint8Array): ReceivedResponse;
  /** What has to be sent now. */
  takeRequests(): Buffer[];
  statuses(): ResourceStatus[];
}

export interface ReceivedResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly controlPlane: string;
  readonly outcome: ReceiveOutcome | undefined;
}

export interface ClientWireOptions {
  readonly variant: "sotw" | "delta";
  /** The type whose own service is called. Left out: the aggregated one. */
  readonly service?: ResourceKind | undefined;
  readonly node: XdsNode;
  readonly types: readonly ClientResourceType[];
  readonly clock: Clock;
  /** Names that went unanswered for too long. */
  readonly onTimeout: (update: ResourceUpdate) => void;
}

export function clientWire({ variant, service, node, types, clock, onTimeout }: ClientWireOptions): ClientWire {
  const path = streamPath(variant, service);
  return variant === "sotw"
    ? overBytes(new ClientSession(node, types, sotwClient, clock, onTimeout), {
        path,
        encode: encodeDiscoveryRequest,
        decode: (bytes) => ({ ...decodeDiscoveryResponse(bytes), resourceErrors: readResourceErrors(bytes, 7) }),
      })
    : overBytes(new ClientSession(node, types, deltaClient, clock, onTimeout), {
        path,
        encode: encodeDeltaDiscoveryRequest,
        decode: (bytes) => ({ ...decodeDeltaDiscoveryResponse(bytes), resourceErrors: readResourceErrors(bytes, 9) }),
      });
}

interface Codec<Request, Response> {
  readonly path: string;
  readonly encode: (request: Request) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Response;
}

function overBytes<
  Request extends DiscoveryRequest | DeltaDiscoveryRequest,
  Response extends DiscoveryResponse | DeltaDiscoveryResponse,
>(session: ClientSession<Request, Response>, { path, encode, decode }: Codec<Request, Response>): ClientWire {
  return {
    path,
    get wantsAnything() {
      return session.wantsAnything;
    },
    openStream: (otherServer) => session.openStream(otherServer),
    closeStream: () => session.closeStream(),
    close: () => session.close(),
    subscribe: (kind, names) => session.subscribe(kind, names),
    adjust: (kind, add, drop) => session.adjust(kind, add, drop),
    receive(bytes) {
      const response = decode(bytes);
      const { typeUrl, nonce, controlPlaneIdentifier } = response;
      return { typeUrl, nonce, controlPlane: controlPlaneIdentifier, outcome: session.receive(response) };
    },
    takeRequests: () => session.takeRequests().map((request) => Buffer.from(encode(request))),
    statuses: () => session.statuses(),
  };
}
