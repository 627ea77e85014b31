import { type Failure, type FailureKind, failure } from "@heddle/base";

/** What a server answers; 0: the message is malformed (RFC 9113 §8.1.1), which is an error of the stream and gets no answer. */
export type MessageErrorStatus = 0 | 400 | 431 | 501;

/** Why a header list is not a message. Made once for each reason, when the module is loaded. */
export class MessageError {
  readonly status: MessageErrorStatus;
  /** Of the class of error, never with the peer's bytes in it. */
  readonly detail: string;
  /** The same as a failure, by whose peer it was. */
  readonly downstream: Failure;
  readonly upstream: Failure;

  /** `code` as in Envoy's response code details. */
  constructor(status: MessageErrorStatus, detail: string, code: string) {
    this.status = status;
    this.detail = detail;
    this.downstream = { ...failure(KINDS[status], "downstream", detail), code };
    this.upstream = { ...failure("upstream-protocol-error", "upstream", detail), code };
  }
}

const KINDS: Readonly<Record<MessageErrorStatus, FailureKind>> = {
  0: "bad-request",
  400: "bad-request",
  431: "head-too-large",
  501: "not-implemented",
};

export function badField(detail: string): MessageError {
  return new MessageError(0, detail, "http2.invalid.header.field");
}

export function badMessage(detail: string): MessageError {
  return new MessageError(0, detail, "http2.violation.of.messaging.rule");
}
