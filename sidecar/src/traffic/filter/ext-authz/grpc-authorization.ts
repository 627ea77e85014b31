import { type Failure, GrpcStatus, type Result } from "@heddle/base";
import type { SideRequest, SideResponse } from "@heddle/filter";
import {
  formatGrpcTimeout,
  GrpcMessageReader,
  grpcMessageBytes,
  grpcStatusOf,
  HeaderMap,
  RequestHead,
} from "@heddle/http";
import { compileHeaderFormat, type HeaderFormat, type HeaderFormatContext } from "@heddle/traffic";
import {
  type CheckAttributes,
  type CheckResponse,
  checkRequestBytes,
  type HeaderChange,
  type HeaderOption,
  readCheckResponse,
} from "@heddle/traffic/ext-authz";
import type { GrpcAuthorization } from "./ext-authz-config.ts";
import { FAILED, type Metadata, type Verdict } from "./verdict.ts";

/** A denial with a page in it. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Timers end there; where no limit is configured that of the exchange holds. */
const NO_LIMIT_MS = 2 ** 31 - 1;
const PATH = "/envoy.service.auth.v3.Authorization/Check";

/** Asks a service that speaks `envoy.service.auth.v3.Authorization`. */
export class GrpcAuthorizer {
  readonly cluster: string;
  readonly #config: GrpcAuthorization;
  readonly #metadata: readonly (readonly [name: string, value: HeaderFormat])[];

  constructor(config: GrpcAuthorization) {
    this.cluster = config.cluster;
    this.#config = config;
    this.#metadata = compileValues(config.initialMetadata);
  }

  /** `context` shows the exchange to values of `initial_metadata`. Left out: there is none, and those that ask are "". */
  request(attributes: CheckAttributes, context?: HeaderFormatContext): SideRequest {
    const { authority, timeoutMs } = this.#config;
    const headers = new HeaderMap(["te", "trailers", "content-type", "application/grpc"]);
    if (timeoutMs > 0) headers.append("grpc-timeout", formatGrpcTimeout(Math.ceil(timeoutMs)));
    for (const [name, value] of this.#metadata) headers.append(name, formatted(value, context));
    return {
      head: new RequestHead("POST", "http", authority, PATH, headers, "2"),
      body: grpcMessageBytes(checkRequestBytes(attributes)),
      timeoutMs: timeoutMs > 0 ? timeoutMs : NO_LIMIT_MS,
      maxResponseBytes: MAX_ANSWER_BYTES,
    };
  }

  verdict(result: Result<SideResponse, Failure>): Verdict {
    const response = result.ok ? responseOf(result.value) : undefined;
    return response === undefined ? FAILED : verdictOf(response);
  }
}

/** Formats of configured values. Throws on one that validation refuses. */
export function compileValues(
  values: readonly (readonly [name: string, value: string])[],
): readonly (readonly [name: string, value: HeaderFormat])[] {
  return values.map(([name, value]) => {
    const format = compileHeaderFormat(value);
    if (!format.ok) throw new Error(`${name}: ${format.error}`);
    return [name, format.value] as const;
  });
}

export function formatted(value: HeaderFormat, context: HeaderFormatContext | undefined): string {
  return context === undefined ? "" : value.format(context);
}

/** Undefined: the call has failed, or what came is not exactly one message. */
function responseOf({ head, body, trailers }: SideResponse): CheckResponse | undefined {
  if (head.status !== 200 || grpcStatusOf(trailers ?? head.headers) !== GrpcStatus.Ok) return undefined;
  const messages: Uint8Array[] = [];
  const reader = new GrpcMessageReader((_flags, message) => void messages.push(message), MAX_ANSWER_BYTES, 0);
  const read = reader.read(body);
  const [message] = messages;
  if (!read.ok || reader.partial || messages.length !== 1 || message === undefined) return undefined;
  return readCheckResponse(message);
}

function verdictOf({ code, denied, ok, error, dynamicMetadata = [] }: CheckResponse): Verdict {
  const metadata: Metadata = ok?.dynamicMetadata ?? dynamicMetadata;
  if (code === 0) {
    return {
      type: "allowed",
      headers: ok?.headers.map(requestChange) ?? [],
      headersToRemove: ok?.headersToRemove ?? [],
      responseHeaders: ok?.responseHeadersToAdd.map(responseChange) ?? [],
      queryParametersToSet: ok?.queryParametersToSet ?? [],
      queryParametersToRemove: ok?.queryParametersToRemove ?? [],
      metadata,
    };
  }
  if (error !== undefined) {
    const { status, headers, body } = error;
    return { type: "failed", status: isFinal(status) ? status : 0, headers: headers.map(denialHeader), body, metadata };
  }
  const { status = 0, headers = [], body = NO_BODY } = denied ?? {};
  return {
    type: "denied",
    status: isFinal(status) ? status : FORBIDDEN,
    headers: headers.map(denialHeader),
    body,
    metadata,
  };
}

const NO_BODY = new Uint8Array(0);
const FORBIDDEN = 403;

/** A status that an answer may have: none of those that only announce one. */
function isFinal(status: number): boolean {
  return status >= 200 && status <= 599;
}

/**
 * Of a request. `append` is what counts, and it is false where it is not set (external_auth.proto); its successor counts where it
 * says more than what its default would.
 */
function requestChange({ name, value, append, appendAction }: HeaderOption): HeaderChange {
  if (append !== undefined || appendAction === AppendAction.Append)
    return { name, value, action: append === true ? "append-to-existing" : "set" };
  return { name, value, action: ACTIONS[appendAction] ?? "set" };
}

/** Of an answer: here a field is added where nothing else is said (Envoy). */
function responseChange({ name, value, append, appendAction }: HeaderOption): HeaderChange {
  if (append !== undefined) return { name, value, action: append ? "add" : "set" };
  return { name, value, action: ACTIONS[appendAction] ?? "set" };
}

/** Of a denial all are there, `set-cookie` as often as it is said. */
function denialHeader({ name, value }: HeaderOption): HeaderChange {
  return { name, value, action: "add" };
}

/** `HeaderValueOption.HeaderAppendAction` */
const AppendAction = { Append: 0, AddIfAbsent: 1, OverwriteOrAdd: 2, Overwrite: 3 } as const;
const ACTIONS: Readonly<Record<number, HeaderChange["action"]>> = {
  [AppendAction.Append]: "add",
  [AppendAction.AddIfAbsent]: "add-if-absent",
  [AppendAction.OverwriteOrAdd]: "set",
  [AppendAction.Overwrite]: "overwrite-if-exists",
};
