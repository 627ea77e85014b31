import type { DatagramFilter, DatagramReply } from "../listener/datagram-filter.ts";
import type { DnsResponder } from "./dns-responder.ts";

/** `envoy.filters.udp.dns_filter`: each datagram is a question. */
export class DnsUdpFilter implements DatagramFilter {
  readonly #responder: DnsResponder;
  readonly #onClosed: () => void;

  constructor(responder: DnsResponder, onClosed: () => void) {
    this.#responder = responder;
    this.#onClosed = onClosed;
  }

  get sessions(): number {
    return this.#responder.pending;
  }

  receive(bytes: Uint8Array, address: string, port: number, reply: DatagramReply): void {
    this.#responder.answer(bytes, "udp", (answer) => void reply(answer, address, port));
  }

  untilEmpty(): Promise<void> {
    return this.#responder.untilEmpty();
  }

  close(): void {
    this.#onClosed();
    this.#responder.close();
  }
}
