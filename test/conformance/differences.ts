/** Cases of a set of vectors that we judge otherwise, and why. */
export interface Difference {
  readonly rule: string;
  readonly section: string;
  readonly cases: readonly string[];
}

/** The one table of where our strictness and the vectors of others differ. Everything else agrees. */
export const differences: Readonly<Record<"llhttp" | "httpDesyncGuardian", readonly Difference[]>> = {
  /** In none of them do we accept what llhttp refuses when it is strict. */
  llhttp: [
    {
      rule: "A request for a tunnel (Upgrade, CONNECT) has no body: who reads it, before or after the switch, is unsure.",
      section: "RFC 9110 §7.8, §9.3.6",
      cases: ["request/connection.md:715", "request/connection.md:814", "request/method.md:98"],
    },
    {
      rule: "101 is taken only for an upgrade that was asked for, and this request asked for none.",
      section: "RFC 9110 §15.2.2",
      cases: ["response/connection.md:295", "response/connection.md:333"],
    },
    {
      rule: "Protocols other than HTTP/1.1 and HTTP/1.0 (RTSP, ICE, HTTP/0.9, the HTTP/2 preface) are not spoken.",
      section: "RFC 9112 §2.3, RFC 9113 §3.4",
      cases: [
        "request/method.md:374",
        "request/method.md:404",
        "request/method.md:432",
        "request/method.md:460",
        "request/sample.md:316",
        "response/sample.md:42",
        "response/sample.md:62",
        "response/sample.md:647",
      ],
    },
    {
      rule: "The asterisk form is for OPTIONS alone.",
      section: "RFC 9112 §3.2.4",
      cases: ["request/method.md:137"],
    },
    {
      rule: "A target has no fragment.",
      section: "RFC 9112 §3.2, RFC 9110 §4.1",
      cases: ["request/uri.md:167", "request/transfer-encoding.md:753", "request/transfer-encoding.md:795"],
    },
    {
      rule: "The authority of a target has no user information.",
      section: "RFC 9110 §4.2.4",
      cases: ["request/uri.md:224"],
    },
    {
      rule: "A transfer coding other than chunked alone cannot be forwarded; llhttp hands the coded body on until the end.",
      section: "RFC 9112 §6.1, §6.3",
      cases: [
        "response/transfer-encoding.md:45",
        "response/transfer-encoding.md:76",
        "response/transfer-encoding.md:114",
      ],
    },
    {
      rule: "No empty line stands before a status line. Only a server passes over such lines.",
      section: "RFC 9112 §2.2",
      cases: ["response/connection.md:588", "response/sample.md:697"],
    },
    {
      rule: "Bytes behind the only response that was asked for close the connection and are not read as a response.",
      section: "RFC 9112 §9.2",
      cases: ["response/connection.md:494", "response/pipelining.md:6"],
    },
    {
      rule: "The case tells llhttp to pass over bodies; with them read, its second head is the body of the first message.",
      section: "RFC 9112 §6.2",
      cases: ["request/content-length.md:446", "response/content-length.md:125"],
    },
    {
      rule: "What comes behind the last message of a connection is ignored, in every mode, rather than an error.",
      section: "RFC 9112 §9.6",
      cases: [
        "request/connection.md:112",
        "request/connection.md:396",
        "response/connection.md:195",
        "response/connection.md:262",
      ],
    },
  ],
  /** Compliant and acceptable requests that we refuse all the same. Every other one is forwarded. */
  httpDesyncGuardian: [
    {
      rule: "A header name is a token: no space before the colon, no control character.",
      section: "RFC 9112 §5.1, RFC 9110 §5.1",
      cases: [
        "acceptable.yaml#0",
        "acceptable.yaml#1",
        "acceptable.yaml#2",
        "acceptable.yaml#3",
        "bad-header-characters.yaml#11",
        "bad-header-characters.yaml#12",
      ],
    },
    {
      rule: "A header value has no control character but tab.",
      section: "RFC 9110 §5.5",
      cases: ["bad-header-characters.yaml#13", "bad-header-characters.yaml#14"],
    },
    {
      rule: "The version is HTTP/1.1 or HTTP/1.0, written exactly so. A 1.2 does not exist, so who says it is broken.",
      section: "RFC 9112 §2.3, §3",
      cases: ["acceptable.yaml#6", "acceptable.yaml#7", "acceptable.yaml#8", "uri-specific-test-cases.yaml#1"],
    },
    {
      rule: "The transfer coding is chunked alone, without parameters.",
      section: "RFC 9112 §6.1, §7",
      cases: [
        "more-compliant-tests.yaml#5",
        "more-compliant-tests.yaml#7",
        "more-compliant-tests.yaml#8",
        "more-compliant-tests.yaml#9",
        "rfc-compliant.yaml#8",
        "rfc-compliant.yaml#9",
        "rfc-compliant.yaml#10",
      ],
    },
    {
      rule: "A target is ASCII without spaces and without a fragment, and is not empty.",
      section: "RFC 9112 §3.2, RFC 3986 §2",
      cases: [
        "rfc-compliant.yaml#11",
        "rfc-compliant.yaml#12",
        "rfc-compliant.yaml#13",
        "uri-specific-test-cases.yaml#3",
      ],
    },
  ],
};
