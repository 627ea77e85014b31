export { formatSpiffeId, parseSpiffeId, type SpiffeId, trustDomainFault } from "./spiffe-id.ts";
