import { isIP } from "node:net";

/**
 * The name that TLS asks a control plane for (SNI): its host's, or one that stands for none where that is an address, which may
 * not be asked for (RFC 6066 §3). Who answers is judged by its SPIFFE ID, whatever is asked.
 */
export function tlsNameOf(hostPort: string): string {
  const host = hostPort.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return isIP(host) === 0 && host !== "" ? host : "control-plane";
}
