/**
 * What is wrong with the name of a field by which a filter tells the upstream something. Undefined: nothing. Framing, the host and
 * what belongs to one connection (RFC 9110 §7.6.1) are no such fields: a claim that stood there would be another request.
 */
export function wrongToldHeader(name: string): string | undefined {
  if (name === "" || (TOKEN.test(name) && !NOT_TOLD.has(name.toLowerCase()))) return undefined;
  return `found ${JSON.stringify(name)}, allowed is the name of a field that is not of framing, host or connection`;
}

/** RFC 9110 §5.6.2 */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NOT_TOLD: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
