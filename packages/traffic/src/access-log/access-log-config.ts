import type { AccessLogType, SubstitutionFormat } from "@heddle/telemetry";
import type { StringMatcherConfig } from "../match/string-matcher.ts";
import type { HeaderMatcherConfig, HeaderValueOption } from "../route/route-config.ts";

/* `envoy.config.accesslog.v3`, and what of the connection manager is made of it, decoded. Plain JSON data. */

export interface AccessLogConfig {
  readonly name: string;
  /** Undefined: everything is logged. */
  readonly filter: AccessLogFilterConfig | undefined;
  readonly sink:
    | { readonly type: "file"; readonly path: string }
    | { readonly type: "stdout" }
    | { readonly type: "stderr" };
  /** Default: Envoy's line. */
  readonly format: { readonly type: "default" } | SubstitutionFormat;
}

/** `AccessLogFilter`: which exchanges are logged, or which local replies are mapped. */
export type AccessLogFilterConfig =
  | ({ readonly type: "status-code" } & ComparisonConfig)
  /** In whole ms. */
  | ({ readonly type: "duration" } & ComparisonConfig)
  | { readonly type: "not-health-check" }
  | { readonly type: "traceable" }
  | {
      readonly type: "runtime";
      /** What the runtime says under it takes the fraction's place. */
      readonly key: string;
      readonly fraction: { readonly numerator: number; readonly denominator: number };
      /** Drawn for each; else taken from the request's id, so that all proxies log the same requests. */
      readonly independent: boolean;
    }
  | { readonly type: "and" | "or"; readonly filters: readonly AccessLogFilterConfig[] }
  | { readonly type: "header"; readonly header: HeaderMatcherConfig }
  /** Short names; none: any flag. */
  | { readonly type: "response-flag"; readonly flags: readonly string[] }
  | { readonly type: "grpc-status"; readonly statuses: readonly number[]; readonly exclude: boolean }
  | {
      readonly type: "metadata";
      readonly namespace: string;
      readonly path: readonly string[];
      /** Undefined: no value matches. */
      readonly value: ValueMatcherConfig | undefined;
      readonly invert: boolean;
      readonly matchIfNotFound: boolean;
    }
  | { readonly type: "log-type"; readonly types: readonly AccessLogType[]; readonly exclude: boolean };

/** `ComparisonFilter` */
export interface ComparisonConfig {
  readonly op: "EQ" | "GE" | "LE";
  readonly value: number;
  /** What the runtime says under it takes the value's place. Left out: nothing. */
  readonly runtimeKey?: string;
}

/** `envoy.type.matcher.v3.ValueMatcher`, of a JSON value. */
export type ValueMatcherConfig =
  | { readonly type: "null" }
  | { readonly type: "exact-number"; readonly value: number }
  | { readonly type: "number-range"; readonly start: number; readonly end: number } // start <= value < end
  | { readonly type: "string"; readonly matcher: StringMatcherConfig }
  | { readonly type: "boolean"; readonly value: boolean }
  | { readonly type: "present"; readonly present: boolean }
  /** Of a list: one item at least. */
  | { readonly type: "one-of"; readonly matcher: ValueMatcherConfig }
  | { readonly type: "or"; readonly matchers: readonly ValueMatcherConfig[] };

/** `HcmAccessLogOptions`: lines besides the one at the end. */
export interface AccessLogOptions {
  /** `DownstreamStart`, when the head of the request has come. */
  readonly onNewRequest: boolean;
  /** `DownstreamTunnelSuccessfullyEstablished` */
  readonly onTunnel: boolean;
  /** `DownstreamPeriodic`, while the exchange lasts; 0 is off. */
  readonly everyMs: number;
}

/** `LocalReplyConfig`: what becomes of answers that the proxy makes itself. */
export interface LocalReplyConfig {
  /** The first whose filter matches is applied. */
  readonly mappers: readonly ResponseMapperConfig[];
  /** Undefined: the body as it is, as text. */
  readonly bodyFormat: LocalReplyFormat | undefined;
}

export interface ResponseMapperConfig {
  readonly filter: AccessLogFilterConfig;
  readonly statusCode: number | undefined;
  readonly body: string | undefined;
  readonly bodyFormatOverride: LocalReplyFormat | undefined;
  readonly headersToAdd: readonly HeaderValueOption[];
}

export interface LocalReplyFormat {
  readonly format: SubstitutionFormat;
  /** "" is text/plain of text and application/json of JSON. */
  readonly contentType: string;
}
