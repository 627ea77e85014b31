import { type HeaderMap, isGrpcRequest, type RequestHead, type ResponseHead } from "@heddle/http";
import type { TraceContext } from "@heddle/telemetry";
import type { DownstreamInfo } from "./exchange.ts";
import { UpstreamState } from "./upstream-state.ts";

/** What is known of an exchange: the part of it that is plain data. */
export abstract class ExchangeRecord {
  request: RequestHead;
  response: ResponseHead | undefined = undefined;
  requestTrailers: HeaderMap | undefined = undefined;
  responseTrailers: HeaderMap | undefined = undefined;
  downstream: DownstreamInfo;
  readonly upstream = new UpstreamState();
  trace: TraceContext;
  requestId = "";
  responseFlags = 0;
  responseCodeDetails = "";
  localReplyBody = "";
  /** Of the last answer of ours, before `local_reply_config` and before it became gRPC's; 0: there was none. */
  localReplyStatus = 0;
  readonly startWallMs: number;
  readonly startMs: number;
  endMs = -1;
  requestBodyBytes = 0;
  responseBodyBytes = 0;
  /** Both directions carry raw bytes and end on their own (101, or 2xx to CONNECT). */
  tunnel = false;

  requestEnded = false;
  /** A final head has been written downstream. */
  responseBegun = false;
  responseEnded = false;
  finished = false;
  #metadata: Map<string, Map<string, unknown>> | undefined = undefined;
  #isGrpc: boolean | undefined = undefined;

  constructor(
    request: RequestHead,
    downstream: DownstreamInfo,
    trace: TraceContext,
    startMs: number,
    startWallMs: number,
  ) {
    this.request = request;
    this.downstream = downstream;
    this.trace = trace;
    this.startMs = startMs;
    this.startWallMs = startWallMs;
  }

  get isGrpc(): boolean {
    this.#isGrpc ??= this.request.method !== "CONNECT" && isGrpcRequest(this.request);
    return this.#isGrpc;
  }

  /** Whether any filter has left something, which a mere look must not allocate for. */
  get hasMetadata(): boolean {
    return this.#metadata !== undefined;
  }

  get metadata(): Map<string, Map<string, unknown>> {
    this.#metadata ??= new Map();
    return this.#metadata;
  }
}
