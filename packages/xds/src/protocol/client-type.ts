import type { Clock } from "@heddle/base";
import type { ResourceUpdate } from "../subscription.ts";
import type { ClientResources, ClientResourceType } from "./client-resources.ts";

/**
 * What a client knows of one type: its subscription and what it holds live on from stream to stream; nonces begin anew with
 * each. Requests are not sent but taken: the owner takes the one that is due after each event, before the next. (What is
 * dropped is forgotten, so a server that never hears of the dropping would not send it again.)
 */
export interface ClientType<Request, Response> {
  readonly resources: ClientResources;
  /** A new stream: nothing has been said on it yet. `otherServer`: it is not the one whose versions are held. */
  openStream(otherServer: boolean): void;
  closeStream(): void;
  /** Replaces what is wanted. */
  subscribe(names: ReadonlySet<string>): void;
  /** Adds and takes away single names. */
  adjust(add: readonly string[], drop: readonly string[]): void;
  /** Takes a response; its verdict becomes due. */
  receive(response: Response): ReceiveOutcome;
  /** The next request that has to go out now, if any; without the node. */
  takeRequest(): Request | undefined;
}

export interface ReceiveOutcome {
  readonly update: ResourceUpdate;
  /** Every reason why a resource was refused; empty when the response was accepted. */
  readonly errors: readonly string[];
  /**
   * The server believes that something is held that has expired here. It would not send it again on this stream, so the
   * stream should be ended and opened anew. Left out: no.
   */
  readonly missed?: boolean;
}

/** How one variant of the protocol keeps a type. */
export type MakeClientType<Request, Response> = (
  type: ClientResourceType,
  clock: Clock,
  onTimeout: (update: ResourceUpdate) => void,
) => ClientType<Request, Response>;
