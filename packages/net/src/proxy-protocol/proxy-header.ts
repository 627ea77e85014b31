/*
 * The header of the PROXY protocol (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt): what a proxy in front
 * says about the connection for which it opened this one.
 */

export interface ProxyHeader {
  readonly version: 1 | 2;
  /**
   * Undefined: the connection's own addresses hold. The proxy speaks for itself (LOCAL, a health check), or does not know
   * (UNKNOWN, UNSPEC), or speaks of Unix sockets.
   */
  readonly addresses: ProxyAddresses | undefined;
  /** Of version 2, in their order; without the padding and the checksum, which was right. */
  readonly tlvs: readonly ProxyTlv[];
}

/** Two IPv4 or two IPv6 addresses. */
export interface ProxyAddresses {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

export interface ProxyTlv {
  /** 0 to 255. */
  readonly type: number;
  readonly value: Uint8Array;
}

export const V1_SIGNATURE = "PROXY ";
/** "the worst case": 107 characters, CRLF with them (§2.1). */
export const V1_MAX_BYTES = 107;

export const V2_SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
/** Signature, version and command, family and transport, length of the rest. */
export const V2_FIXED_BYTES = 16;
export const V2_VERSION = 0x20;
export const V2_LOCAL = 0x0;
export const V2_PROXY = 0x1;
/** Family and transport: what we send. */
export const V2_TCP4 = 0x11;
export const V2_TCP6 = 0x21;

/** `PP2_TYPE_CRC32C` and `PP2_TYPE_NOOP`. */
export const TLV_CRC32C = 0x03;
export const TLV_NOOP = 0x04;
