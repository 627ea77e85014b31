import type { Failure } from "@heddle/base";
import type { RequestEncoder } from "../codec.ts";
import { H1ClientConnection, type H1ClientOptions } from "../h1/client-connection.ts";
import { receiveReused } from "./cuts.ts";
import { ReceivedResponse } from "./received-message.ts";
import { RecordingTransport } from "./recording-transport.ts";

/** A client connection with what its owner heard. */
export class ScriptedClient {
  readonly transport = new RecordingTransport();
  readonly connection: H1ClientConnection;
  readonly responses: ReceivedResponse[] = [];
  capacityChanges = 0;
  /** Each call of `onClose`. */
  readonly closed: (Failure | undefined)[] = [];

  constructor(options: H1ClientOptions = {}) {
    this.connection = new H1ClientConnection(this.transport, this, options);
  }

  onCapacityChange(): void {
    this.capacityChanges++;
  }

  onClose(failure: Failure | undefined): void {
    this.closed.push(failure);
  }

  start(): { readonly encoder: RequestEncoder; readonly response: ReceivedResponse } {
    const response = new ReceivedResponse();
    this.responses.push(response);
    return { encoder: this.connection.startExchange(response), response };
  }

  receive(...pieces: readonly (string | Uint8Array)[]): this {
    for (const piece of pieces) receiveReused(this.connection, piece);
    return this;
  }
}
