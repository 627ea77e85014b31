export {
  type AnyMessage,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DeltaResource,
  type DiscoveryRequest,
  type DiscoveryResponse,
  decodeDeltaDiscoveryRequest,
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryRequest,
  decodeDiscoveryResponse,
  encodeDeltaDiscoveryRequest,
  encodeDeltaDiscoveryResponse,
  encodeDiscoveryRequest,
  encodeDiscoveryResponse,
  type Node,
  type Status,
} from "./discovery.ts";
export { decodeMessage, encodeMessage, fieldOf, type Message, toNumber } from "./message.ts";
export { findType, typeNameOf, typeOf, typeUrlOf } from "./registry.ts";
export {
  durationFromMs,
  durationToMs,
  structFromJson,
  structToJson,
  timestampFromMs,
  timestampToMs,
  valueFromJson,
  valueToJson,
} from "./well-known.ts";
