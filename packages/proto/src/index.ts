export { describeMessage, type FieldDescription, isKnownType } from "./describe.ts";
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
  decodeWrappedResource,
  encodeDeltaDiscoveryRequest,
  encodeDeltaDiscoveryResponse,
  encodeDiscoveryRequest,
  encodeDiscoveryResponse,
  encodeWrappedResource,
  type Node,
  nodeFromMessage,
  nodeToMessage,
  type Status,
} from "./discovery.ts";
export { bytesOf, flagOf, messageOf, messagesOf, numberOf, textOf, textsOf } from "./field-readers.ts";
export { formatSegments, fromProtoJson, type JsonIssue, messageFromJson } from "./json-reader.ts";
export { messageToJson, toProtoJson } from "./json-writer.ts";
export { decodeMessage, encodeMessage, fieldOf, type Message, toNumber, unknownFields } from "./message.ts";
export { typeNameOf, typeUrlOf } from "./registry.ts";
export { validate } from "./validate.ts";
export {
  durationFromMs,
  durationToMs,
  isNestedDeeper,
  structFromJson,
  structToJson,
  timestampFromMs,
  timestampToMs,
  valueFromJson,
  valueToJson,
} from "./well-known.ts";
