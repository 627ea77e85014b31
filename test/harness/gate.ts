import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Owner } from "./owner.ts";

/** What a connection meets instead of the server: it is the test's from then on. */
export type Fault = (socket: Socket) => void;

/** A port before a server, through which connections pass, or meet something else. */
export class Gate {
  readonly port: number;
  /** How many connections have met a fault so far. */
  faulted = 0;
  fault: Fault | undefined;
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>();
  readonly #sockets = new Set<Socket>();

  static async start(owner: Owner, serverPort: number): Promise<Gate> {
    const server = createServer((socket) => gate.#accept(socket, serverPort));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const gate = new Gate((server.address() as AddressInfo).port);
    owner.after(() => {
      server.close();
      for (const socket of gate.#sockets) socket.destroy();
    });
    return gate;
  }

  private constructor(port: number) {
    this.port = port;
  }

  /** Clients whose connections pass now. */
  get open(): readonly Socket[] {
    return [...this.#pairs].map(([client]) => client);
  }

  /** Ends all connections that pass now. */
  cut(): void {
    for (const [client] of this.#pairs) client.resetAndDestroy();
  }

  /** Nothing passes any more on the connections of now, and they stay. */
  freeze(): void {
    for (const [client, server] of this.#pairs) {
      client.unpipe(server).pause();
      server.unpipe(client).pause();
    }
  }

  #accept(client: Socket, serverPort: number): void {
    this.#keep(client);
    if (this.fault !== undefined) {
      this.faulted += 1;
      this.fault(client);
      return;
    }
    const server = connect(serverPort, "127.0.0.1");
    this.#keep(server);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    client.pipe(server);
    server.pipe(client);
    for (const [one, other] of [pair, [server, client] as const]) {
      one.once("close", () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined); // it ends, as it should
    socket.once("close", () => this.#sockets.delete(socket));
  }
}
