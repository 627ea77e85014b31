import { type Clock, failure } from "@heddle/base";
import {
  type Connection,
  type DialCallbacks,
  type Dialling,
  dial,
  formatAddress,
  HandshakeError,
  type HandshakeFailure,
  SECRET_NOT_SUPPLIED,
  type SocketAddress,
  SocketConnection,
} from "@heddle/net";
import type { ConnectionIdentity, TlsIdentity } from "./pool/pool-key.ts";
import type { DialUpstream, UpstreamDialOptions } from "./upstream-env.ts";

/**
 * Makes connections as their identity says: TCP, then the preface in plaintext, then TLS. The connect timeout is for all
 * of it, as in Envoy. `onThrow` hears what callbacks throw.
 */
export function dialUpstream(clock: Clock, onThrow: (error: unknown) => void): DialUpstream {
  return (identity, options, callbacks) => {
    const { connectTimeoutMs: timeoutMs, highWatermarkBytes, keepAliveDelayMs } = options;
    const keepAlive = keepAliveDelayMs === undefined ? {} : { keepAliveDelayMs };
    const { address, tls, source, preface } = identity;
    const from = source === undefined ? {} : { source };
    const dialOptions = { timeoutMs, clock, highWatermarkBytes, onThrow, ...keepAlive, ...from };
    if (tls !== undefined)
      return new SecureDial(identity, tls, options, { clock, onThrow }, callbacks).start(dialOptions);
    return dial(address, dialOptions, preface === "" ? callbacks : withPreface(preface, callbacks));
  };
}

function withPreface(preface: string, callbacks: DialCallbacks): DialCallbacks {
  return {
    onFailed: (reason) => callbacks.onFailed(reason),
    onConnected(connection) {
      connection.writeLatin1(preface);
      callbacks.onConnected(connection);
    },
  };
}

interface DialEnv {
  readonly clock: Clock;
  readonly onThrow: (error: unknown) => void;
}

/** One dial and its handshake: whichever runs is what `cancel` ends. */
class SecureDial implements Dialling {
  readonly #identity: ConnectionIdentity;
  readonly #tls: TlsIdentity;
  readonly #options: UpstreamDialOptions;
  readonly #env: DialEnv;
  readonly #callbacks: DialCallbacks;
  readonly #startedMs: number;
  #running: Dialling | undefined = undefined;

  constructor(
    identity: ConnectionIdentity,
    tls: TlsIdentity,
    options: UpstreamDialOptions,
    env: DialEnv,
    callbacks: DialCallbacks,
  ) {
    this.#identity = identity;
    this.#tls = tls;
    this.#options = options;
    this.#env = env;
    this.#callbacks = callbacks;
    this.#startedMs = env.clock.now();
  }

  start(options: Parameters<typeof dial>[1]): this {
    this.#running = dial(this.#identity.address, options, {
      onFailed: (reason) => this.#callbacks.onFailed(reason),
      onConnected: (connection) => this.#secure(connection),
    });
    return this;
  }

  cancel(): void {
    this.#running?.cancel();
  }

  #secure(connection: Connection): void {
    if (!(connection instanceof SocketConnection)) throw new TypeError("TLS needs a socket");
    const { address, preface, protocol } = this.#identity;
    const { serverName, verifiedName, istio, stats } = this.#tls;
    const client = this.#tls.client.current;
    if (client === undefined) {
      connection.destroy();
      stats.countSecretNotReady();
      this.#callbacks.onFailed(secretMissing(address));
      return;
    }
    if (preface !== "") connection.writeLatin1(preface);
    const { connectTimeoutMs, highWatermarkBytes } = this.#options;
    const leftMs = connectTimeoutMs - (this.#env.clock.now() - this.#startedMs);
    const alpn = { alpnFallback: ALPN[protocol], alpnOverride: istio ? istioAlpn[protocol] : undefined };
    const target = { serverName, verifiedName, peer: formatAddress(address), ...alpn };
    const options = { ...this.#env, timeoutMs: Math.max(1, leftMs), highWatermarkBytes };
    this.#running = client.connect(connection, target, options, {
      onSecured: (secured) => {
        const { alpnProtocol, tls: known } = secured;
        if (known !== undefined) stats.countHandshake(known);
        if (isOther(protocol, alpnProtocol)) {
          secured.destroy();
          const reason = `ALPN_AGREED_ON_${alpnProtocol}`;
          this.#callbacks.onFailed(handshakeFailed(address, { kind: "protocol", fault: undefined, reason }));
        } else this.#callbacks.onConnected(secured);
      },
      onFailed: (failed) => {
        stats.countFailure(failed);
        this.#callbacks.onFailed(handshakeFailed(address, failed));
      },
    });
  }
}

/** What is offered where the configuration names no protocols (Envoy's fallback). */
const ALPN: Readonly<Record<ConnectionIdentity["protocol"], readonly string[]>> = {
  http1: ["http/1.1"],
  http2: ["h2"],
  auto: ["h2", "http/1.1"],
  bytes: [],
};

/**
 * What Istio's filter istio.alpn makes a proxy offer for HTTP, of which a server of Istio's tells at the handshake that it is HTTP,
 * and which. Control planes of Istio's put that filter before every router, and "istio" among the ALPN of each cluster of the mesh.
 */
const istioAlpn: Readonly<Partial<Record<ConnectionIdentity["protocol"], readonly string[]>>> = {
  http1: ["istio-http/1.1", "istio", "http/1.1"],
  http2: ["istio-h2", "istio", "h2"],
};

/** The upstream would wait for a protocol that we are not about to speak. */
function isOther(protocol: ConnectionIdentity["protocol"], agreed: string): boolean {
  return (protocol === "http1" && agreed === "h2") || (protocol === "http2" && agreed.startsWith("http/1"));
}

/** As in Envoy the connection is made and ended: a secret may have come by the time it is tried again. */
function secretMissing(address: SocketAddress) {
  const detail = `${formatAddress(address)}: ${SECRET_NOT_SUPPLIED}`;
  return failure("connect-failed", "upstream", detail, "safe", new HandshakeError(SECRET_NOT_SUPPLIED));
}

/** Nothing of a request has been sent, so another attempt is always safe. */
function handshakeFailed(address: SocketAddress, { kind, fault, reason }: HandshakeFailure) {
  const detail = `${formatAddress(address)}: TLS handshake: ${reason}`;
  if (kind === "timeout") return failure("connect-timeout", "upstream", detail, "safe");
  const words = kind === "peer" ? `CERTIFICATE_VERIFY_FAILED:${fault === "chain" ? reason : fault}` : reason;
  return failure("connect-failed", "upstream", detail, "safe", new HandshakeError(words));
}
