import type {
  FilterChainConfig,
  FilterChainMatch,
  ListenerConfig,
  ListenerFilterMatch,
  NetworkFilterConfig,
} from "@heddle/traffic";
import type { CaptureMode, Workload, WorkloadPort } from "../model/workload.ts";
import { CAPTURE_PORTS, everyAddress } from "./captured-listeners.ts";
import {
  ANY,
  chain,
  chainsOf,
  FIRST_BYTES_WAIT_MS,
  httpManager,
  type InboundSecurity,
  tcpProxyTo,
  XFCC,
} from "./inbound-listener.ts";
import { listener } from "./listeners.ts";
import { mtlsTermination } from "./mtls.ts";
import {
  BLACKHOLE_CLUSTER,
  INBOUND_LISTENER,
  INBOUND_PASSTHROUGH_CLUSTER,
  inboundName,
  MESH_SERVER_NAMES,
} from "./names.ts";
import { asksForServerNames, tcpAuthorization } from "./policy/authorization.ts";

/** `TPROXY_MARK` of packages/capture. */
const OWN_MARK = 1337;

/**
 * Takes what others send to a pod, which rules of the kernel redirect to one port, 15006, and tells by the port to which it was
 * sent what to do: chains of the ports that are known, and of all others, where the same policies hold. Nothing gets past:
 * what no chain of its port takes is closed, since there is no default chain.
 */
export function capturedInboundListener(
  workload: Workload,
  security: InboundSecurity,
  capture: CaptureMode,
): ListenerConfig {
  const { addresses } = workload;
  const ports = workload.ports.filter(({ port }) => port !== CAPTURE_PORTS.inbound); // its own has a chain
  const families = {
    ipv4: addresses.some((address) => !address.includes(":")),
    ipv6: addresses.some((address) => address.includes(":")),
  };
  const known = new Set(ports.map(({ port }) => port));
  // Policies may have something to say of ports that nobody has declared.
  const said = new Set(security.policies.peer.flatMap(({ portModes }) => [...portModes.keys()]));
  const others = [...said].filter((port) => !known.has(port) && port !== CAPTURE_PORTS.inbound).sort((a, b) => a - b);
  const chains = [
    chain("itself", { ...ANY, destinationPort: CAPTURE_PORTS.inbound }, [tcpProxyTo(BLACKHOLE_CLUSTER)]),
    ...ports.flatMap((port) => portChains(workload, port, security)),
    ...others.flatMap((port) => passthroughChains(port, security)),
    ...passthroughChains(undefined, security),
  ];
  const passedOver = portsWithoutInspection(ports, others, security);
  const inspection = passedOver === undefined ? {} : { disabled: passedOver };
  return {
    ...listener(INBOUND_LISTENER, everyAddress(families, CAPTURE_PORTS.inbound), chains),
    trafficDirection: "INBOUND",
    listenerFilters: [
      { type: "original-dst", name: "envoy.filters.listener.original_dst" },
      ...(capture === "tproxy"
        ? [{ type: "original-src", name: "envoy.filters.listener.original_src", mark: OWN_MARK } as const]
        : []),
      {
        type: "tls-inspector",
        name: "envoy.filters.listener.tls_inspector",
        maxClientHelloBytes: 16 * 1024,
        ...inspection,
      },
      ...(ports.some(({ detect }) => detect)
        ? [{ type: "http-inspector", name: "envoy.filters.listener.http_inspector", ...inspection } as const]
        : []),
    ],
    // Where the server speaks first its client waits: that cannot be the beginning of TLS, so it is plaintext. The server
    // cannot be asked meanwhile: what it says first is the same to both.
    listenerFiltersTimeoutMs: FIRST_BYTES_WAIT_MS,
    continueOnListenerFiltersTimeout: true,
    ...(capture === "tproxy" && { transparent: true }),
  };
}

/**
 * Ports of bytes that take plaintext alone: nothing depends on what a client says, and where the server speaks first its client would
 * wait for nothing. Undefined: there are none.
 */
function portsWithoutInspection(
  ports: readonly WorkloadPort[],
  others: readonly number[],
  security: InboundSecurity,
): ListenerFilterMatch | undefined {
  if (asksForServerNames(security.policies.authorization)) return undefined;
  const isBytes = (port: number): boolean => chainsOf({ port }, security) === "plaintext";
  const found = [
    ...ports
      .filter(({ protocol, detect, port }) => protocol === "tcp" && !detect && isBytes(port))
      .map(({ port }) => port),
    ...others.filter(isBytes),
  ];
  const rules = found.map((port) => ({ type: "destination-port", start: port, end: port + 1 }) as const);
  return rules.length > 1 ? { type: "or", rules } : rules[0];
}

/** By what the port takes, as for every sidecar (`inboundListener`), and by whether it is known what is spoken there. */
function portChains(workload: Workload, port: WorkloadPort, security: InboundSecurity): readonly FilterChainConfig[] {
  const to: Aim = { name: inboundName(port.port), match: { ...ANY, destinationPort: port.port } };
  const bytes = [...tcpAuthorization(security.policies, security.trust), tcpProxyTo(to.name)];
  const plaintext = httpManager(workload, port, security, undefined);
  const secured = httpManager(workload, port, security, XFCC);
  const takes = chainsOf(port, security);
  if (port.detect) return sniffedChains(to, takes, { bytes, plaintext: [plaintext], secured: [secured] });
  if (port.protocol === "tcp") return bytesChains(to, takes, bytes);
  const tls = mtlsTermination(["h2", "http/1.1"]);
  switch (takes) {
    case "plaintext":
      return [chain(to.name, to.match, [plaintext])];
    case "mtls":
      return [chain(`${to.name}/mtls`, to.match, [secured], tls)];
    case "both":
      return [
        chain(`${to.name}/mtls`, { ...to.match, transportProtocol: "tls" }, [secured], tls),
        chain(`${to.name}/plaintext`, { ...to.match, transportProtocol: "raw_buffer" }, [plaintext]),
      ];
    case "none":
      return [refusing(to)];
  }
}

interface Aim {
  readonly name: string;
  readonly match: FilterChainMatch;
}

type Takes = ReturnType<typeof chainsOf>;

/** TLS that does not ask for a name of the mesh is the application's own, and passes as any bytes do. */
function bytesChains(to: Aim, takes: Takes, filters: readonly NetworkFilterConfig[]): readonly FilterChainConfig[] {
  const tls = mtlsTermination([]);
  switch (takes) {
    case "plaintext":
      return [chain(to.name, to.match, filters)];
    case "mtls":
      return [chain(`${to.name}/mtls`, to.match, filters, tls)];
    case "both":
      return [
        chain(
          `${to.name}/mtls`,
          { ...to.match, transportProtocol: "tls", serverNames: [MESH_SERVER_NAMES] },
          filters,
          tls,
        ),
        chain(`${to.name}/plaintext`, to.match, filters),
      ];
    case "none":
      return [refusing(to)];
  }
}

interface Sniffed {
  readonly bytes: readonly NetworkFilterConfig[];
  readonly plaintext: readonly NetworkFilterConfig[];
  readonly secured: readonly NetworkFilterConfig[];
}

/** Nobody has said what is spoken: plaintext tells by its first bytes, and callers of the mesh by what they offer (ALPN). */
function sniffedChains(to: Aim, takes: Takes, { bytes, plaintext, secured }: Sniffed): readonly FilterChainConfig[] {
  const mesh = { ...to.match, transportProtocol: "tls", serverNames: [MESH_SERVER_NAMES] };
  const http = { ...to.match, transportProtocol: "raw_buffer", applicationProtocols: ["http/1.0", "http/1.1", "h2c"] };
  const alpn = ["h2", "http/1.1"];
  const inMesh = [
    chain(`${to.name}/mtls/http`, { ...mesh, applicationProtocols: alpn }, secured, mtlsTermination(alpn)),
    chain(`${to.name}/mtls`, mesh, bytes, mtlsTermination([])),
  ];
  const inPlain = [
    chain(`${to.name}/http`, http, plaintext),
    // Said twice: where a chain asks for plaintext, those that ask for nothing are out of it (`FilterChainTable`).
    chain(`${to.name}/plaintext`, { ...to.match, transportProtocol: "raw_buffer" }, bytes),
    chain(`${to.name}/tls`, to.match, bytes),
  ];
  switch (takes) {
    case "plaintext":
      return inPlain;
    case "mtls":
      return inMesh;
    case "both":
      return [...inMesh, ...inPlain];
    case "none":
      return [refusing(to)];
  }
}

/** Policies ask for mutual TLS and this sidecar has no identity. Said by a chain: the port has to be nobody else's either. */
function refusing(to: Aim): FilterChainConfig {
  return chain(`${to.name}/closed`, to.match, [tcpProxyTo(BLACKHOLE_CLUSTER)]);
}

/**
 * Of a port that the mesh knows nothing of; undefined: of all of them. What the workload's policies say of every port holds here
 * too.
 */
function passthroughChains(port: number | undefined, security: InboundSecurity): readonly FilterChainConfig[] {
  const name = port === undefined ? INBOUND_PASSTHROUGH_CLUSTER : `${INBOUND_PASSTHROUGH_CLUSTER}/${port}`;
  const filters = [
    ...tcpAuthorization(security.policies, security.trust),
    tcpProxyTo(INBOUND_PASSTHROUGH_CLUSTER, name),
  ];
  const match = { ...ANY, destinationPort: port };
  return bytesChains({ name, match }, chainsOf({ port: port ?? NO_PORT }, security), filters);
}

/** No policy can say anything of it. */
const NO_PORT = 0;
