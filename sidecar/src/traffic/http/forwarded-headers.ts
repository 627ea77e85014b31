import { isIP } from "node:net";
import { Cidr, parseIp } from "@heddle/base";
import { type DownstreamInfo, EXPLAIN_HEADER } from "@heddle/filter";
import type { HeaderMap, RequestHead } from "@heddle/http";
import type { HttpConnectionManagerConfig, OriginalIpDetection } from "@heddle/traffic";
import { ClientCertHeader } from "./client-cert-header.ts";
import { reasonOf, withReason } from "./tracing/trace-reason.ts";

/** What is found out about a request on the way: an exchange, as far as it is needed here. */
export interface ForwardedRequest {
  readonly request: RequestHead;
  downstream: DownstreamInfo;
  requestId: string;
  /** Comes from inside (`x-envoy-internal`): its headers may steer the proxy. */
  internal: boolean;
}

/**
 * Brings the headers in order that tell of the way a request has come: `x-forwarded-*`, `x-request-id`, `via`, `x-envoy-*`
 * and `x-forwarded-client-cert`, as Envoy does (config/http_conn_man/headers). Finds the client's address meanwhile.
 *
 * - At the edge (`use_remote_address`) the peer is believed to be who it is, and is appended; with trusted hops the address
 *   that the outermost of them has appended is the client.
 * - Inside, what the hop before us has appended is believed and left alone.
 *
 * All that does not depend on the request is decided when the configuration changes, and one pass over the fields finds
 * what there is to do.
 */
export class Forwarding {
  // Of the configuration, each in a field: looking into an object of so many is not free.
  readonly #atEdge: boolean;
  readonly #trustedHops: number;
  readonly #appendsFor: boolean;
  readonly #appendsPort: boolean;
  readonly #schemeToOverwrite: "http" | "https" | undefined;
  readonly #via: string;
  readonly #makesId: boolean;
  readonly #keepsForeignId: boolean;
  readonly #packsTraceReason: boolean;
  readonly #detections: readonly OriginalIpDetection[];
  readonly #internal: InternalClients | undefined;
  /** Undefined: what becomes of that header does not depend on the client. */
  readonly #clientCert: ClientCertHeader | undefined;
  /** What goes wherever it comes from. */
  readonly #drops: number;
  readonly #makeId: () => string;
  /** What the last request's fields said, until the next `apply`. */
  readonly found = new Found();
  // What `#joined` has joined last.
  #lastForwardedFor = "";
  #lastRemote = "";
  #lastJoined = "";

  /** `makeId` gives new request ids. */
  constructor(config: HttpConnectionManagerConfig, makeId: () => string) {
    const { originalIpDetection, internalAddresses, forwardClientCertDetails } = config.manners;
    this.#atEdge = config.useRemoteAddress;
    this.#trustedHops = config.xffNumTrustedHops;
    this.#appendsFor = !config.skipXffAppend;
    this.#appendsPort = config.manners.appendXForwardedPort;
    this.#schemeToOverwrite = config.manners.schemeToOverwrite;
    this.#via = config.via;
    this.#makesId = config.generateRequestId;
    this.#keepsForeignId = config.preserveExternalRequestId;
    this.#packsTraceReason = config.manners.requestId.packsTraceReason;
    this.#makeId = makeId;
    this.#detections =
      originalIpDetection.length > 0 ? originalIpDetection : [{ type: "xff", trustedHops: config.xffNumTrustedHops }];
    const nobody = internalAddresses.cidrRanges.length === 0 && !internalAddresses.unixSockets;
    this.#internal = nobody
      ? undefined
      : { unixSockets: internalAddresses.unixSockets, ranges: internalAddresses.cidrRanges.map(toCidr) };
    this.#clientCert = ClientCertHeader.of(config.manners);
    // The other modes ask whether the client has shown a certificate.
    const keepsClientCert = forwardClientCertDetails === "ALWAYS_FORWARD_ONLY";
    this.#drops =
      Kind.Internal +
      (keepsClientCert ? 0 : Kind.ClientCert) +
      (nobody ? Kind.Steers : 0) +
      (nobody && config.useRemoteAddress ? Kind.Caller : 0);
  }

  /** `scheme` is that of the connection. Returns the status of a refusal: the client's address was not told. */
  apply(exchange: ForwardedRequest, scheme: "http" | "https"): number | undefined {
    const { request, downstream } = exchange;
    const { headers } = request;
    const atEdge = this.#atEdge;
    const found = this.found;
    const clientCert = this.#clientCert;
    const keepsClientCert = clientCert?.keeps(downstream.tls) === true;
    this.#look(headers.fields, keepsClientCert ? this.#drops & ~Kind.ClientCert : this.#drops);
    if (clientCert !== undefined) clientCert.apply(headers, downstream.tls);
    if (atEdge) this.#believePeer(headers, downstream, scheme);
    else {
      const refusedStatus = this.#believeHeaders(headers);
      if (refusedStatus !== undefined) return refusedStatus;
    }
    if (found.proto === undefined) {
      headers.append("x-forwarded-proto", scheme);
      found.proto = scheme;
    }
    if (this.#appendsPort && found.port === undefined && downstream.localPort !== 0) {
      headers.set("x-forwarded-port", String(downstream.localPort));
    }
    this.#setScheme(request, found.proto, scheme);

    const { client } = found;
    const internal = this.#internal !== undefined && client !== undefined && found.mayBeInternal && this.#has(client);
    if (client !== undefined && client !== downstream.remoteAddress) {
      exchange.downstream = { ...downstream, remoteAddress: client, remotePort: 0, connection: downstream };
    }
    if (internal) {
      exchange.internal = true;
      headers.append("x-envoy-internal", "true");
    } else {
      if (found.steers) removeSteering(headers.fields, atEdge);
      // Inside it would be believed to come from us.
      if (found.explain && atEdge && downstream.tls?.peerVerified !== true) headers.remove(EXPLAIN_HEADER);
      if (atEdge && client !== undefined && client !== "")
        put(headers, "x-envoy-external-address", client, found.externalAddressAt);
    }
    if (this.#via !== "") appendVia(headers, this.#via);
    const givenId = valueAt(headers, "x-request-id", found.requestIdAt);
    exchange.requestId = this.#requestId(headers, givenId, atEdge && !internal);
    return undefined;
  }

  /**
   * One look at every field: notes what is there, and takes out what nobody before us may say. Most names are told from
   * all of these by their third letter.
   */
  #look(fields: string[], drops: number): void {
    const found = this.found;
    let forwardedFor: string | undefined;
    let proto: string | undefined;
    let port: string | undefined;
    let traceState: string | undefined;
    let forwardedForAt = NOWHERE;
    let protoAt = NOWHERE;
    let requestIdAt = NOWHERE;
    let traceparentAt = NOWHERE;
    let externalAddressAt = NOWHERE;
    let expects = false;
    let steers = false;
    let explain = false;
    let kept = 0;
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!; // names stand at even places
      const first = name.charCodeAt(0);
      if (first === LETTER_X) {
        const letter = name.charCodeAt(2);
        if (letter === LETTER_F) {
          const value = fields[i + 1]!;
          if (name === "x-forwarded-for") {
            forwardedForAt = forwardedFor === undefined ? kept : SEVERAL;
            forwardedFor = forwardedFor === undefined ? value : `${forwardedFor},${value}`;
          } else if (name === "x-forwarded-proto") {
            protoAt = proto === undefined ? kept : SEVERAL;
            proto ??= value;
          } else if (name === "x-forwarded-port") port ??= value;
          else if (name === "x-forwarded-client-cert" && (drops & Kind.ClientCert) !== 0) continue;
        } else if (letter === LETTER_R) {
          if (name === "x-request-id") requestIdAt = requestIdAt === NOWHERE ? kept : SEVERAL;
        } else if (letter === LETTER_E) {
          const kind = kindOf(name);
          if ((kind & drops) !== 0) continue;
          if (kind === Kind.Address) externalAddressAt = externalAddressAt === NOWHERE ? kept : SEVERAL;
          else if (kind !== 0) steers = true;
        } else if (letter === LETTER_H && name === EXPLAIN_HEADER) explain = true;
      } else if (first === LETTER_T) {
        if (name === "traceparent") traceparentAt = traceparentAt === NOWHERE ? kept : SEVERAL;
        else if (name === "tracestate")
          traceState = traceState === undefined ? fields[i + 1] : `${traceState},${fields[i + 1]}`;
      } else if (first === LETTER_E && name === "expect") expects = true;
      if (kept !== i) {
        fields[kept] = name;
        fields[kept + 1] = fields[i + 1]!;
      }
      kept += 2;
    }
    while (fields.length > kept) fields.pop(); // to set the length is a call into the engine
    found.forwardedFor = forwardedFor;
    found.proto = proto;
    found.port = port;
    found.traceState = traceState;
    found.forwardedForAt = forwardedForAt;
    found.protoAt = protoAt;
    found.requestIdAt = requestIdAt;
    found.traceparentAt = traceparentAt;
    found.externalAddressAt = externalAddressAt;
    found.expects = expects;
    found.steers = steers;
    found.explain = explain;
  }

  #believePeer(headers: HeaderMap, { remoteAddress }: DownstreamInfo, scheme: "http" | "https"): void {
    const found = this.found;
    const { forwardedFor } = found;
    const hops = this.#trustedHops;
    found.mayBeInternal = forwardedFor === undefined;
    found.client = (hops === 0 ? undefined : addressFromEnd(forwardedFor, hops - 1)) ?? remoteAddress;
    if (this.#appendsFor && remoteAddress !== "") {
      const told =
        forwardedFor === undefined || forwardedFor === "" ? remoteAddress : this.#joined(forwardedFor, remoteAddress);
      put(headers, "x-forwarded-for", told, found.forwardedForAt);
    }
    if (hops > 0) return;
    // Nobody whom we trust has said these.
    found.port = undefined;
    put(headers, "x-forwarded-proto", scheme, found.protoAt);
    found.proto = scheme;
  }

  /** Between two sidecars both are the same for long, and a string that is the same is known to whoever compares it next. */
  #joined(forwardedFor: string, remoteAddress: string): string {
    if (forwardedFor !== this.#lastForwardedFor || remoteAddress !== this.#lastRemote) {
      this.#lastForwardedFor = forwardedFor;
      this.#lastRemote = remoteAddress;
      this.#lastJoined = `${forwardedFor},${remoteAddress}`;
    }
    return this.#lastJoined;
  }

  #believeHeaders(headers: HeaderMap): number | undefined {
    const found = this.found;
    const { forwardedFor } = found;
    found.client = undefined;
    found.mayBeInternal = false;
    for (const detection of this.#detections) {
      if (detection.type === "xff") {
        found.client = addressFromEnd(forwardedFor, detection.trustedHops);
        found.mayBeInternal = detection.trustedHops === 0 && forwardedFor?.includes(",") === false;
      } else {
        found.client = addressOf(headers.get(detection.header));
        found.mayBeInternal = detection.trusted;
        if (found.client === undefined && detection.rejectStatus !== undefined) return detection.rejectStatus;
      }
      if (found.client !== undefined) break;
    }
    return undefined;
  }

  /** What is said of the way before us counts more than how the last hop came (Envoy `:scheme`). */
  #setScheme(request: RequestHead, proto: string, scheme: "http" | "https"): void {
    const schemeToOverwrite = this.#schemeToOverwrite;
    if (schemeToOverwrite !== undefined) {
      request.scheme = schemeToOverwrite;
      request.headers.set("x-forwarded-proto", schemeToOverwrite);
    } else if (proto !== scheme && request.scheme === scheme && request.httpVersion !== "2") {
      // HTTP/2 has said it itself, and is believed (Envoy, config/http_conn_man/headers "scheme").
      const said = proto.toLowerCase();
      if (said === "http" || said === "https") request.scheme = said;
    }
  }

  /** Whether the address is one from inside; "" is that of a Unix socket. */
  #has(address: string): boolean {
    const internal = this.#internal!; // asked only where there is one
    if (address === "") return internal.unixSockets;
    const words = parseIp(address);
    return words !== undefined && internal.ranges.some((range) => range.contains(words));
  }

  /** At the edge a client's id is replaced, so that nobody outside chooses the ids by which we find requests. */
  #requestId(headers: HeaderMap, given: string | undefined, replace: boolean): string {
    if (given !== undefined && given !== "") {
      if (!replace) return given;
      if (this.#keepsForeignId) return this.#packsTraceReason ? this.#withoutReason(headers, given) : given;
    }
    if (!this.#makesId) return given ?? "";
    const id = this.#makeId();
    put(headers, "x-request-id", id, this.found.requestIdAt);
    return id;
  }

  /** An id from outside is kept, but it does not decide here whether the request is traced. */
  #withoutReason(headers: HeaderMap, id: string): string {
    if (reasonOf(id) === "not-traceable") return id;
    const kept = withReason(id, "not-traceable");
    headers.set("x-request-id", kept);
    return kept;
  }
}

/** There is no field of that name; there is more than one. */
const NOWHERE = -1;
const SEVERAL = -2;

/** `headers.set`, without a search: `at` is where such a field stood. */
function put(headers: HeaderMap, name: string, value: string, at: number): void {
  const { fields } = headers;
  if (at === NOWHERE) headers.append(name, value);
  else if (at !== SEVERAL && fields[at] === name) fields[at + 1] = value;
  else headers.set(name, value);
}

/** `headers.get`, in the same way. */
export function valueAt(headers: HeaderMap, name: string, at: number): string | undefined {
  const { fields } = headers;
  if (at === NOWHERE) return undefined;
  return at !== SEVERAL && fields[at] === name ? fields[at + 1] : headers.get(name);
}

/** What the fields of the request at hand say. There is one, used for each request in turn. */
class Found {
  forwardedFor: string | undefined = undefined;
  proto: string | undefined = undefined;
  port: string | undefined = undefined;
  /** All of them, joined. */
  traceState: string | undefined = undefined;
  expects = false;
  // Where these stand, for `put` and `valueAt`. Their values are new with each request, and to note one is a write barrier.
  forwardedForAt = NOWHERE;
  protoAt = NOWHERE;
  requestIdAt = NOWHERE;
  traceparentAt = NOWHERE;
  externalAddressAt = NOWHERE;
  /** There are headers that steer the proxy or describe the caller. */
  steers = false;
  /** Somebody wants to know why it is denied. */
  explain = false;
  client: string | undefined = undefined;
  mayBeInternal = false;
}

interface InternalClients {
  readonly unixSockets: boolean;
  readonly ranges: readonly Cidr[];
}

/** One field, as Envoy leaves it. */
export function appendVia(headers: HeaderMap, via: string): void {
  const before = headers.joined("via");
  if (before === undefined) headers.append("via", via);
  else headers.set("via", `${before}, ${via}`);
}

/** What a header is to us, as bits: what goes is a sum of them. */
const Kind = {
  /** Ours alone to say. */
  Internal: 1,
  /** By these a caller inside the mesh steers the proxy (Envoy's `cleanInternalHeaders`). */
  Steers: 2,
  /** These describe a caller, and are taken from those at the edge. */
  Caller: 4,
  ClientCert: 8,
  /** Of a client outside, as the edge has seen it. */
  Address: 16,
} as const;

const STEERING = [
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-ip-tags",
  "x-envoy-max-retries",
  "x-envoy-original-url",
  "x-envoy-retriable-header-names",
  "x-envoy-retriable-status-codes",
  "x-envoy-retry-grpc-on",
  "x-envoy-retry-on",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-rq-timeout-ms",
];

const CALLER = [
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-original-host", // access logs believe it
  "x-envoy-original-path", // CVE-2023-27487: spans and logs believe it
];

const OF_ENVOY: ReadonlyMap<string, number> = new Map<string, number>([
  ...STEERING.map((name) => [name, Kind.Steers] as const),
  ...CALLER.map((name) => [name, Kind.Caller] as const),
  ["x-envoy-internal", Kind.Internal],
  ["x-envoy-external-address", Kind.Address],
]);

/** A sidecar before us always sends these two: found without a look into the map, which is 70 instructions. */
function kindOf(name: string): number {
  if (name === "x-envoy-expected-rq-timeout-ms") return Kind.Steers;
  if (name === "x-envoy-external-address") return Kind.Address;
  return OF_ENVOY.get(name) ?? 0;
}

const LETTER_E = 0x65;
const LETTER_F = 0x66;
const LETTER_H = 0x68;
const LETTER_R = 0x72;
const LETTER_T = 0x74;
const LETTER_X = 0x78;

function removeSteering(fields: string[], atEdge: boolean): void {
  let kept = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const kind = OF_ENVOY.get(fields[i]!);
    if (kind === Kind.Steers || (atEdge && kind === Kind.Caller)) continue;
    fields[kept] = fields[i]!;
    fields[kept + 1] = fields[i + 1]!;
    kept += 2;
  }
  fields.length = kept;
}

/** The address that stands `fromEnd` places before the last one. Undefined: there are not that many, or it is none. */
function addressFromEnd(list: string | undefined, fromEnd: number): string | undefined {
  if (list === undefined) return undefined;
  let end = list.length;
  for (let i = 0; i < fromEnd; i++) {
    end = list.lastIndexOf(",", end - 1);
    if (end <= 0) return undefined;
  }
  return addressOf(list.slice(list.lastIndexOf(",", end - 1) + 1, end));
}

function addressOf(text: string | undefined): string | undefined {
  const address = text?.trim() ?? "";
  return isIP(address) === 0 ? undefined : address;
}

/** Decoding has checked it. */
function toCidr(text: string): Cidr {
  const cidr = Cidr.parse(text);
  if (!cidr.ok) throw new TypeError(cidr.error);
  return cidr.value;
}
