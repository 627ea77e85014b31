export { DecodedBlock, HpackDecoder, type HpackDecoderOptions, HpackError } from "./hpack-decoder.ts";
export { HpackEncoder } from "./hpack-encoder.ts";
