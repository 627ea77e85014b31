import { ErrorCode } from "./error-code.ts";

/** Why a frame is refused: the connection ends with it (RFC 9113 §5.4.1), or its stream alone (§5.4.2). */
export class FrameError {
  readonly code: ErrorCode;
  readonly scope: "connection" | "stream";
  readonly detail: string;

  constructor(code: ErrorCode, scope: "connection" | "stream", detail: string) {
    this.code = code;
    this.scope = scope;
    this.detail = detail;
  }
}

export function protocolError(detail: string): FrameError {
  return new FrameError(ErrorCode.ProtocolError, "connection", detail);
}

export function sizeError(detail: string): FrameError {
  return new FrameError(ErrorCode.FrameSizeError, "connection", detail);
}
