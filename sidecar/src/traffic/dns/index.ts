/* What answers DNS, loaded when a configuration first names it: `#dns` (dns-code.ts). */
export { DnsResponder } from "./dns-responder.ts";
export { DnsTcpFilter } from "./dns-tcp-filter.ts";
export { DnsUdpFilter } from "./dns-udp-filter.ts";
