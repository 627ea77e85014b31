import { constants } from "node:crypto";
import { isIP } from "node:net";
import { connect, type SecureContext, type TLSSocket } from "node:tls";
import type { SocketConnection } from "../socket-connection.ts";
import { Handshake, type HandshakeCallbacks, type HandshakeOptions, type Handshaking } from "./handshake.ts";
import { hostRule, judgePeer, type PeerRules } from "./peer-rules.ts";
import { secureContext, type TlsSettings } from "./secure-context.ts";
import { SessionStore } from "./session-store.ts";
import { chainErrorOf } from "./tls-inside.ts";

/** `UpstreamTlsContext`, with everything read. */
export interface TlsClientSettings extends TlsSettings {
  /** Sessions that are kept to be resumed; 0: none. */
  readonly maxSessionKeys: number;
}

/** Whom a handshake is with. */
export interface TlsTarget {
  /** SNI; "" for none. */
  readonly serverName: string;
  /** The certificate has to stand for this name or address, instead of the names of the rules. */
  readonly verifiedName: string | undefined;
  /** Tells servers apart whose sessions are not each other's. */
  readonly peer: string;
  /** ALPN, where the settings have none. */
  readonly alpnFallback: readonly string[];
  /** ALPN in the place of the settings'. */
  readonly alpnOverride?: readonly string[] | undefined;
}

/**
 * The client's end of TLS. Without trusted authorities the server is not asked who it is, as in Envoy; whoever configures that
 * is told.
 */
export class TlsClient {
  readonly #settings: TlsClientSettings;
  readonly #context: SecureContext;
  readonly #sessions: SessionStore;

  /** Throws where OpenSSL does not take the settings. */
  constructor(settings: TlsClientSettings) {
    this.#settings = settings;
    this.#context = secureContext(settings, settings.certificates, {
      // Nobody may make us begin anew in the middle (`allow_renegotiation`).
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
    this.#sessions = new SessionStore(settings.maxSessionKeys);
  }

  /** Begins the handshake on a connection that has not been started and is not to be used any more. */
  connect(
    connection: SocketConnection,
    { serverName, verifiedName, peer, alpnFallback, alpnOverride }: TlsTarget,
    options: HandshakeOptions,
    callbacks: HandshakeCallbacks,
  ): Handshaking {
    const { alpnProtocols: configured, maxSessionKeys } = this.#settings;
    const alpnProtocols = alpnOverride ?? (configured.length > 0 ? configured : alpnFallback);
    const { socket: beneath } = connection.surrender();
    const name = isIP(serverName) === 0 ? serverName : ""; // RFC 6066 §3: an address is no name
    const key = `${peer} ${name} ${verifiedName ?? ""}`;
    const session = this.#sessions.take(key);
    const socket = connect({
      socket: beneath,
      secureContext: this.#context,
      // Judged below, and by more than Node would.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(name !== "" && { servername: name }),
      ...(alpnProtocols.length > 0 && { ALPNProtocols: [...alpnProtocols] }),
      ...(session !== undefined && { session }),
    });
    let accepted = false;
    // One of a server that was refused is not kept.
    if (maxSessionKeys > 0) socket.on("session", (made: Buffer) => accepted && this.#sessions.put(key, made));
    const rules = this.#rulesFor(verifiedName);
    return new Handshake(
      socket,
      beneath,
      connection.id,
      {
        side: "upstream",
        event: "secureConnect",
        // A session that is kept is one of a server that has been accepted, by authorities that live as long as it does.
        judge: (secured: TLSSocket, peer, nowMs) =>
          judgePeer(
            { certificate: peer?.certificate, issuers: peer?.issuers, chainError: chainErrorOf(secured) },
            rules,
            nowMs,
          ),
        serverName: () => name,
        accepted: () => {
          accepted = true;
        },
      },
      options,
      callbacks,
    );
  }

  #rulesFor(verifiedName: string | undefined): PeerRules {
    const { rules } = this.#settings;
    return verifiedName === undefined ? rules : { ...rules, names: [hostRule(verifiedName)] };
  }
}
