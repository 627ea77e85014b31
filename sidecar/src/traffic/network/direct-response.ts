import { callbackTimer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import type { NetworkFilter, ServedConnection } from "./network-filter.ts";

/** What a client that does not close gets to read the answer: Envoy's `delayed_close_timeout`. */
const CLOSE_AFTER_MS = 1000;

/** `envoy.filters.network.direct_response`: sends the same to everybody, without listening, and closes. */
export class DirectResponse implements NetworkFilter {
  readonly #response: Uint8Array;
  readonly #env: Pick<UpstreamEnv, "wheel">;

  constructor(response: Uint8Array, env: Pick<UpstreamEnv, "wheel">) {
    this.#response = response;
    this.#env = env;
  }

  serve(connection: Connection, _info: DownstreamInfo, onClosed: () => void): ServedConnection {
    const { wheel } = this.#env;
    const deadline = callbackTimer(() => connection.destroy());
    // What the client sends is read and dropped: unread bytes would turn our FIN into an RST, which takes the answer along.
    connection.start({
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => {
        wheel.cancel(deadline);
        onClosed();
      },
    });
    connection.writeBytes(this.#response);
    connection.end();
    wheel.start(deadline, CLOSE_AFTER_MS);
    return { drain: () => undefined, destroy: () => connection.destroy() };
  }
}
