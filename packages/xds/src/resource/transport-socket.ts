import type { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

const RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/** `transport_socket` of a filter chain or a cluster: plaintext is the only one yet, and TLS is never ignored. */
export function requirePlaintext(fields: Fields): void {
  const socket = fields.message("transport_socket");
  const any = socket?.raw("typed_config");
  if (socket === undefined) return;
  const extension = any && openAny(any, socket.at("typed_config"), fields.findings);
  if (
    any === undefined ? socket.text("name") === "envoy.transport_sockets.raw_buffer" : extension?.type === RAW_BUFFER
  ) {
    return;
  }
  fields.fail(
    "transport_socket",
    `${JSON.stringify(socket.text("name"))} is not supported yet; a connection would be open where it should be protected`,
  );
}
