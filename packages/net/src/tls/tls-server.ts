import { constants } from "node:crypto";
import { type SecureContext, TLSSocket } from "node:tls";
import type { SocketConnection } from "../socket-connection.ts";
import { CertificateChoice } from "./certificate-choice.ts";
import {
  Handshake,
  type HandshakeCallbacks,
  type HandshakeOptions,
  type HandshakeRules,
  type Handshaking,
} from "./handshake.ts";
import { judgePeer, type PeerVerdict } from "./peer-rules.ts";
import { hashOf, secureContext, type TlsSettings } from "./secure-context.ts";
import type { ShownPeer } from "./shown-peer.ts";
import { type StaplePolicy, Stapling } from "./stapling.ts";
import { chainErrorOf, onHello, releaseControl, setTicketKey } from "./tls-inside.ts";

/** Where the keys of session tickets come from that several servers share; see `TlsServerSettings.ticketKeys`. */
export interface TicketKeySource {
  /** Another number: the keys are others. */
  readonly version: number;
  /** 48 bytes, the same for the same context. Undefined: it is just changing, the next handshake may ask again. */
  key(context: string): Uint8Array | undefined;
}

/** `DownstreamTlsContext`, with everything read. */
export interface TlsServerSettings extends TlsSettings {
  readonly requireClientCertificate: boolean;
  readonly requireServerName: boolean;
  /** Asks clients who they are, even where they need not say. */
  readonly asksClient: boolean;
  readonly issuesTickets: boolean;
  /** Undefined: OpenSSL's, 5 minutes. */
  readonly sessionTimeoutSeconds: number | undefined;
  /** Who asks for a name that no certificate stands for gets the first for each type of key, not the first one. */
  readonly fullScanOnMismatch: boolean;
  readonly preferClientCiphers: boolean;
  /** Left out: LENIENT_STAPLING. */
  readonly staplePolicy?: StaplePolicy;
  /** 48 bytes, so that servers that are the same resume each other's sessions. Left out: each its own. */
  readonly ticketKeys?: Uint8Array;
}

/**
 * The server's end of TLS: takes connections, and hands them out again once they are encrypted and the client is who it has to be.
 *
 * Node's own server TLS sockets let an untrusted client through: they ask for its certificate, note that it is not trusted, and
 * deliver its bytes. So this class alone makes them. Nothing of a client is read before `judgePeer` has accepted it.
 */
export class TlsServer {
  readonly #settings: TlsServerSettings;
  readonly #choice: CertificateChoice;
  readonly #rules: HandshakeRules;

  readonly #contexts: SecureContext[] = [];
  readonly #tickets: TicketKeySource | undefined;
  #ticketsVersion = -1;
  readonly #stapling: Stapling;
  readonly #staples: boolean;

  /**
   * `tickets`: where the keys of its tickets come from if its settings have none; left out: it makes its own. Throws where
   * OpenSSL does not take the settings.
   */
  constructor(settings: TlsServerSettings, tickets?: TicketKeySource) {
    this.#settings = settings;
    this.#stapling = new Stapling(settings.staplePolicy ?? "LENIENT_STAPLING");
    this.#tickets = settings.ticketKeys === undefined ? tickets : undefined;
    this.#choice = new CertificateChoice(settings.certificates, settings.fullScanOnMismatch, (certificates) => {
      const context = this.#makeContext(certificates);
      this.#contexts.push(context);
      this.#stapling.add(context, certificates);
      return context;
    });
    this.#staples = this.#stapling.isNeeded;
    this.#rules = {
      side: "downstream",
      event: "secure",
      judge: (socket, peer, nowMs) => this.#judge(socket, peer, nowMs),
      serverName: serverNameOf,
      accepted: releaseControl,
    };
  }

  /** Begins the handshake. The connection has not been started, or has been released; it is not to be used any more. */
  accept(connection: SocketConnection, options: HandshakeOptions, callbacks: HandshakeCallbacks): Handshaking {
    if (this.#tickets !== undefined && this.#tickets.version !== this.#ticketsVersion)
      this.#renewTickets(this.#tickets);
    const { socket: beneath, unread } = connection.surrender();
    if (unread !== undefined) beneath.unshift(unread);
    const { alpnProtocols, asksClient, requireClientCertificate } = this.#settings;
    const socket = new TLSSocket(beneath, {
      isServer: true,
      secureContext: this.#choice.fallback,
      requestCert: asksClient,
      // OpenSSL then refuses who shows none; who shows one is judged below.
      rejectUnauthorized: requireClientCertificate,
      ...(alpnProtocols.length > 0 && { ALPNProtocols: [...alpnProtocols] }),
      ...(this.#choice.asksForName &&
        !this.#staples && {
          SNICallback: (name: string, done: (error: null, context: SecureContext) => void) =>
            done(null, this.#choice.of(name)),
        }),
    });
    if (this.#staples) {
      onHello(socket, (name, asksForStaple) => {
        const context = this.#choice.of(name);
        const staple = asksForStaple ? this.#stapling.answer(context, options.clock.wallNow()) : "none";
        return staple === "refuse" ? undefined : { context, ...(staple !== "none" && { staple }) };
      });
    }
    return new Handshake(socket, beneath, connection.id, this.#rules, options, callbacks);
  }

  #renewTickets(tickets: TicketKeySource): void {
    const { version } = tickets;
    const { trustKey, certificates } = this.#settings;
    const key = tickets.key(hashOf(JSON.stringify([trustKey, certificates.map(({ chain }) => chain)])));
    if (key === undefined) return;
    for (const context of this.#contexts) setTicketKey(context, key);
    this.#ticketsVersion = version;
  }

  #judge(socket: TLSSocket, peer: ShownPeer | undefined, nowMs: number): PeerVerdict {
    const { asksClient, requireClientCertificate, requireServerName, rules } = this.#settings;
    if (requireServerName && serverNameOf(socket) === "") {
      return { type: "refused", fault: "name", detail: "the client has asked for no server name" };
    }
    if (!asksClient) return { type: "accepted", verified: false };
    if (peer === undefined && !requireClientCertificate) return { type: "accepted", verified: false };
    // Of a session that is resumed nothing is taken for judged: another server may have made it.
    const evidence = { certificate: peer?.certificate, issuers: peer?.issuers ?? [] };
    return judgePeer({ ...evidence, chainError: chainErrorOf(socket) }, rules, nowMs);
  }

  #makeContext(certificates: TlsServerSettings["certificates"]): SecureContext {
    const { sessionTimeoutSeconds, preferClientCiphers, ticketKeys, rules } = this.#settings;
    // A session remembers the client's certificate, and not what led from it to an authority, nor to whose.
    const judgesChains =
      rules.depth !== undefined ||
      rules.revocation !== undefined ||
      (rules.trust !== undefined && rules.trust.all.length > 1);
    const issuesTickets = this.#settings.issuesTickets && !judgesChains;
    return secureContext(this.#settings, certificates, {
      honorCipherOrder: !preferClientCiphers,
      ...(!issuesTickets && { secureOptions: constants.SSL_OP_NO_TICKET }),
      ...(sessionTimeoutSeconds !== undefined && { sessionTimeout: Math.max(1, sessionTimeoutSeconds) }),
      ...(ticketKeys !== undefined && { ticketKeys: Buffer.from(ticketKeys) }),
    });
  }
}

/** SNI, lower case. Node tells `false` where there was none. */
function serverNameOf({ servername }: TLSSocket & { readonly servername?: unknown }): string {
  return typeof servername === "string" ? servername.toLowerCase() : "";
}
