export { DecodedBlock, HpackDecoder, type HpackDecoderOptions, HpackError } from "./hpack-decoder.ts";
export { HpackEncoder, type NameState } from "./hpack-encoder.ts";
