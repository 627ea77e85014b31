import type { HeaderNameFormat } from "@heddle/http";
import type { HeaderValueOption } from "../route/route-config.ts";

/*
 * Fields of the HTTP connection manager that say how requests and answers are dressed on their way through: whom to
 * believe about where a request came from, and which headers are changed by that. Plain JSON data.
 */

export interface HttpManners {
  /** Tells the upstream the port that the client reached (`append_x_forwarded_port`). */
  readonly appendXForwardedPort: boolean;
  /** Asked in turn for the client's address (`original_ip_detection_extensions`). Empty: by `xff_num_trusted_hops`. */
  readonly originalIpDetection: readonly OriginalIpDetection[];
  /** Whose requests may steer the proxy (`internal_address_config`). As in Envoy from 1.33 on nobody's unless said. */
  readonly internalAddresses: InternalAddresses;
  /** What becomes of `x-forwarded-client-cert`. All but ALWAYS_FORWARD_ONLY remove it where the client has shown no certificate. */
  readonly forwardClientCertDetails:
    | "SANITIZE"
    | "FORWARD_ONLY"
    | "APPEND_FORWARD"
    | "SANITIZE_SET"
    | "ALWAYS_FORWARD_ONLY";
  /** What `x-forwarded-client-cert` is to say of a client's certificate, besides its hash. Left out: nothing. */
  readonly currentClientCert?: CurrentClientCert;
  /** `scheme_header_transformation.scheme_to_overwrite` */
  readonly schemeToOverwrite: "http" | "https" | undefined;
  /** Before routing, in this order (`early_header_mutation_extensions`). */
  readonly earlyHeaderMutations: readonly EarlyHeaderMutation[];
  readonly stripTrailingHostDot: boolean;
  /** False: a target in absolute form is answered 404 (`http_protocol_options.allow_absolute_url`, true). */
  readonly allowAbsoluteUrl: boolean;
  /** Takes methods that no registry knows (`http_protocol_options.allow_custom_methods`). */
  readonly allowCustomMethods: boolean;
  /** How names are written towards the client, and whether its own spelling is kept. Undefined: lower case. */
  readonly headerNames: HeaderNameFormat | undefined;
  /** `request_id_extension`, the UUID one. */
  readonly requestId: RequestIdOptions;
  /** `proxy_status_config`; undefined: no `proxy-status` is added. */
  readonly proxyStatus: ProxyStatusOptions | undefined;
}

/** `SetCurrentClientCertDetails` */
export interface CurrentClientCert {
  readonly subject: boolean;
  readonly cert: boolean;
  readonly chain: boolean;
  readonly dns: boolean;
  readonly uri: boolean;
}

export interface RequestIdOptions {
  /** One digit of the id tells why the request is traced (true). */
  readonly packsTraceReason: boolean;
  /** The id decides whether the request is traced (true), else every one is. */
  readonly decidesTrace: boolean;
}

export interface ProxyStatusOptions {
  /** `literal_proxy_name`, else `server_name`. */
  readonly proxyName: string;
  readonly removeDetails: boolean;
  readonly removeResponseFlags: boolean;
  /** Gives the answer the status that RFC 9209 recommends for its error. */
  readonly setRecommendedResponseCode: boolean;
}

export type OriginalIpDetection =
  | { readonly type: "xff"; readonly trustedHops: number }
  | {
      readonly type: "custom-header";
      /** Lower case. */
      readonly header: string;
      /** The address may make the request an internal one. */
      readonly trusted: boolean;
      /** The answer to a request without an address there; undefined: the next detection is asked. */
      readonly rejectStatus: number | undefined;
    };

export interface InternalAddresses {
  readonly unixSockets: boolean;
  readonly cidrRanges: readonly string[]; // "10.0.0.0/8"
}

export type EarlyHeaderMutation =
  /** The name, in lower case. */
  | { readonly type: "remove"; readonly header: string }
  | { readonly type: "append"; readonly option: HeaderValueOption };

/** What Envoy does where nothing of this is configured. */
export const defaultManners: HttpManners = {
  appendXForwardedPort: false,
  originalIpDetection: [],
  internalAddresses: { unixSockets: false, cidrRanges: [] },
  forwardClientCertDetails: "SANITIZE",
  schemeToOverwrite: undefined,
  earlyHeaderMutations: [],
  stripTrailingHostDot: false,
  allowAbsoluteUrl: true,
  allowCustomMethods: false,
  headerNames: undefined,
  requestId: { packsTraceReason: true, decidesTrace: true },
  proxyStatus: undefined,
};
