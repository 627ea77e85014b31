import type { H2Settled } from "./h2-options.ts";

/**
 * Counts frames that cost the peer nothing and say little, as Envoy does (its `protocol_constraints`). Each method answers false
 * when the limit is passed.
 */
export class InboundLimits {
  readonly #maxEmpty: number;
  readonly #maxPriorityPerStream: number;
  readonly #maxWindowUpdatesPerDataFrame: number;
  #emptyInARow = 0;
  #priorities = 0;
  #windowUpdates = 0;
  /** Streams ever opened. */
  #streams = 0;
  #dataFramesSent = 0;

  constructor(options: H2Settled) {
    this.#maxEmpty = options.maxConsecutiveInboundFramesWithEmptyPayload;
    this.#maxPriorityPerStream = options.maxInboundPriorityFramesPerStream;
    this.#maxWindowUpdatesPerDataFrame = options.maxInboundWindowUpdateFramesPerDataFrameSent;
  }

  streamOpened(): void {
    this.#streams++;
  }

  dataFrameSent(): void {
    this.#dataFramesSent++;
  }

  /** HEADERS, CONTINUATION and DATA: `empty` without payload but for padding, and without END_STREAM. */
  takePayload(empty: boolean): boolean {
    if (!empty) {
      this.#emptyInARow = 0;
      return true;
    }
    return ++this.#emptyInARow <= this.#maxEmpty;
  }

  takePriority(): boolean {
    return ++this.#priorities <= this.#maxPriorityPerStream * (1 + this.#streams);
  }

  takeWindowUpdate(): boolean {
    return ++this.#windowUpdates <= 5 + 2 * (this.#streams + this.#maxWindowUpdatesPerDataFrame * this.#dataFramesSent);
  }
}
