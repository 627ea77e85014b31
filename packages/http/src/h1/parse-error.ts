import { type Failure, type FailureKind, failure } from "@heddle/base";

/** The statuses with which a server refuses a message that it cannot read. */
export type RefusalStatus = 400 | 431 | 501 | 505;

/** Why the bytes of a peer are not a message. Made once for each reason, when the module is loaded. */
export class ParseError {
  /** What a server answers. */
  readonly status: RefusalStatus;
  /** Of the class of error, never with the peer's bytes in it. */
  readonly detail: string;
  /** The same as a failure, by whose peer it was. */
  readonly downstream: Failure;
  readonly upstream: Failure;

  /** `code`: Envoy's name for it (http/conn_man/response_code_details), where "http1.codec_error" is not all that it says. */
  constructor(status: RefusalStatus, detail: string, code?: string) {
    this.status = status;
    this.detail = detail;
    const downstream = failure(KINDS[status], "downstream", detail);
    this.downstream = code === undefined ? downstream : { ...downstream, code };
    this.upstream = failure("upstream-protocol-error", "upstream", detail);
  }
}

const KINDS: Readonly<Record<RefusalStatus, FailureKind>> = {
  400: "bad-request",
  431: "head-too-large",
  501: "not-implemented",
  505: "http-version-unsupported",
};
