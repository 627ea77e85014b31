import type { HandshakeFailure, TlsInfo } from "@heddle/net";
import type { Counter, MetricScope } from "@heddle/telemetry";

/**
 * Handles of TLS metrics under Envoy's names: `listener.<address>.ssl.…` (configuration/listeners/stats) and
 * `cluster.<name>.ssl.…`, and beside them what could not begin for want of a secret.
 */
export class SslStats {
  readonly #owner: MetricScope;
  readonly #side: "downstream" | "upstream";
  readonly #scope: MetricScope;
  readonly #handshake: Counter;
  readonly #sessionReused: Counter;
  readonly #noCertificate: Counter;
  readonly #connectionError: Counter;
  readonly #failVerifyNoCert: Counter;
  readonly #failVerifyError: Counter;
  readonly #failVerifySan: Counter;
  readonly #failVerifyCertHash: Counter;
  /** Of versions, ciphers and groups, each made when it is first seen. */
  readonly #seen = new Map<string, Counter>();

  constructor(owner: MetricScope, side: "downstream" | "upstream") {
    this.#owner = owner;
    this.#side = side;
    const scope = owner.scope("ssl");
    this.#scope = scope;
    this.#handshake = scope.counter("handshake");
    this.#sessionReused = scope.counter("session_reused");
    this.#noCertificate = scope.counter("no_certificate");
    this.#connectionError = scope.counter("connection_error");
    this.#failVerifyNoCert = scope.counter("fail_verify_no_cert");
    this.#failVerifyError = scope.counter("fail_verify_error");
    this.#failVerifySan = scope.counter("fail_verify_san");
    this.#failVerifyCertHash = scope.counter("fail_verify_cert_hash");
  }

  countHandshake({ version, cipher, group, resumed, peer }: TlsInfo): void {
    this.#handshake.add();
    if (resumed) this.#sessionReused.add();
    if (peer === undefined) this.#noCertificate.add();
    this.#count("versions", version);
    this.#count("ciphers", cipher);
    this.#count("curves", group);
  }

  countFailure({ kind, fault, reason }: HandshakeFailure): void {
    if (kind === "protocol") {
      if (reason === NO_CERTIFICATE_SHOWN) this.#failVerifyNoCert.add();
      else this.#connectionError.add();
    }
    if (kind !== "peer") return;
    switch (fault) {
      case "no-certificate":
        this.#failVerifyNoCert.add();
        break;
      case "name":
        this.#failVerifySan.add();
        break;
      case "hash":
        this.#failVerifyCertHash.add();
        break;
      default:
        this.#failVerifyError.add();
    }
  }

  /** `server_ssl_socket_factory.downstream_context_secrets_not_ready`, or the client's. It is seldom, so it is made when it is. */
  countSecretNotReady(): void {
    const factory = this.#side === "downstream" ? "server_ssl_socket_factory" : "client_ssl_socket_factory";
    this.#owner.scope(factory).counter(`${this.#side}_context_secrets_not_ready`).add();
  }

  #count(kind: "versions" | "ciphers" | "curves", name: string): void {
    if (name === "") return;
    const key = `${kind}.${name}`;
    let counter = this.#seen.get(key);
    if (counter === undefined) {
      counter = this.#scope.counter(key);
      this.#seen.set(key, counter);
    }
    counter.add();
  }
}

/** OpenSSL's word for a client that has to show a certificate and does not. */
const NO_CERTIFICATE_SHOWN = "PEER_DID_NOT_RETURN_A_CERTIFICATE";
