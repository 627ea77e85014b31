import type { Clock } from "@heddle/base";
import { DatagramListener, type ListenTarget } from "@heddle/net";
import type { Counter } from "@heddle/telemetry";
import type { ListenerConfig, UdpListenerConfig } from "@heddle/traffic";
import type { DatagramFilter } from "./datagram-filter.ts";
import type { ListenerEnv } from "./listener-env.ts";
import { statPrefixOf } from "./stat-prefix.ts";

/** A listener that takes datagrams. Made from one configuration and never changed, like `Listener`. */
export class UdpListener {
  readonly config: ListenerConfig;
  readonly #udp: UdpListenerConfig;
  readonly #filter: DatagramFilter;
  readonly #clock: Clock;
  readonly #drainTimeMs: number;
  readonly #dropped: Counter;
  readonly #errors: Counter;

  constructor(config: ListenerConfig, udp: UdpListenerConfig, env: ListenerEnv) {
    this.config = config;
    this.#udp = udp;
    this.#clock = env.clock;
    this.#drainTimeMs = env.drain.timeMs;
    this.#filter = env.makeDatagramFilter(config, udp);
    const scope = env.metrics.scope("listener", { envoy_listener_address: statPrefixOf(config) });
    this.#dropped = scope.counter("downstream_rx_datagram_dropped");
    this.#errors = scope.counter("downstream_rx_datagram_errors");
  }

  /** Sessions, or questions without their answers. */
  get connections(): number {
    return this.#filter.sessions;
  }

  receive(bytes: Uint8Array, address: string, port: number, socket: DatagramListener): void {
    if (bytes.byteLength > this.#udp.maxDatagramBytes) this.#dropped.add();
    else this.#filter.receive(bytes, address, port, (answer, to, toPort) => socket.send(answer, to, toPort));
  }

  receiveFailed(): void {
    this.#errors.add();
  }

  /** Another one, or nobody, gets the datagrams. Answers that are under way still go out, at most for the drain time. */
  async retire(): Promise<void> {
    await this.#end(this.#drainTimeMs);
  }

  /** The process ends. Of a session nobody can tell whether something is under way, so none is waited for. */
  async drain(): Promise<void> {
    this.#filter.close();
  }

  async #end(deadlineMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const deadline = this.#clock.after(deadlineMs, resolve);
    void this.#filter.untilEmpty().then(resolve);
    await promise;
    deadline.cancel();
    this.#filter.close();
  }
}

/** Takes datagrams for whichever listener has the place at the time. */
export function listenForDatagrams(
  target: ListenTarget,
  ipv6: boolean,
  current: () => UdpListener | undefined,
  onStopped: (reason: string) => void,
  onThrow: (error: unknown) => void,
): DatagramListener {
  const socket: DatagramListener = new DatagramListener(
    target,
    ipv6,
    {
      onDatagram: (bytes, address, port) => current()?.receive(bytes, address, port, socket),
      onError: () => current()?.receiveFailed(),
    },
    onStopped,
    onThrow,
  );
  return socket;
}
