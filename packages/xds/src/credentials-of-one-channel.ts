import type { Socket } from "node:net";
import type { ChannelCredentials } from "@grpc/grpc-js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * The same credentials, which connect nobody whose channel has been closed.
 *
 * A channel of grpc-js (1.14) that is closed after an attempt has failed makes one more attempt when its back-off ends, and where
 * that succeeds, the connection belongs to nobody and stays for as long as the server does: after each restart of a control plane
 * one or two for each sidecar. The connector is told that its channel is gone; that attempt is refused here.
 */
export function credentialsOfOneChannel(security: ChannelCredentials): ChannelCredentials {
  const make = security._createSecureConnector.bind(security);
  security._createSecureConnector = (...how) => endingConnector(make(...how));
  return security;
}

function endingConnector(connector: SecureConnector): SecureConnector {
  let ended = false;
  const refuse = (): Promise<never> => Promise.reject(new Error("the channel has been closed"));
  return {
    waitForReady: () => (ended ? refuse() : connector.waitForReady()),
    connect(socket: Socket) {
      if (!ended) return connector.connect(socket);
      socket.destroy();
      return refuse();
    },
    getCallCredentials: () => connector.getCallCredentials(),
    destroy() {
      ended = true;
      connector.destroy();
    },
  };
}
