import { ErrorCode } from "./error-code.ts";
import { FrameError, protocolError } from "./frame-error.ts";
import { type FrameHeader, readUint31 } from "./frame-header.ts";

export const PRIORITY_BYTES = 5;

const ON_CONNECTION = protocolError("PRIORITY on stream 0");
const BAD_SIZE = new FrameError(ErrorCode.FrameSizeError, "stream", "PRIORITY is not of 5 bytes");

export interface PriorityFrame {
  readonly dependsOn: number;
  readonly exclusive: boolean;
  /** 1 to 256. */
  readonly weight: number;
}

/** RFC 9113 §6.3. It is read to be checked and counted; priority itself is deprecated (§5.3.2), and we write none. */
export function readPriority({ streamId }: FrameHeader, payload: Uint8Array): PriorityFrame | FrameError {
  if (streamId === 0) return ON_CONNECTION;
  if (payload.length !== PRIORITY_BYTES) return BAD_SIZE;
  return { dependsOn: readUint31(payload, 0), exclusive: payload[0]! >= 0x80, weight: payload[4]! + 1 };
}
