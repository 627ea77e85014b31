/**
 * The states of a stream (RFC 9113 §5.1). Nobody pushes here, so nothing is ever reserved; and an idle stream is one that is not
 * made yet, so a stream begins open.
 */
export const StreamState = {
  Open: 0,
  /** We have sent END_STREAM. */
  HalfClosedLocal: 1,
  /** The peer has sent END_STREAM. */
  HalfClosedRemote: 2,
  Closed: 3,
} as const;
export type StreamState = (typeof StreamState)[keyof typeof StreamState];

export function afterEndSent(state: StreamState): StreamState {
  switch (state) {
    case StreamState.Open:
      return StreamState.HalfClosedLocal;
    case StreamState.HalfClosedRemote:
      return StreamState.Closed;
    default:
      throw new Error(`END_STREAM was sent twice, or behind a reset (state ${state})`);
  }
}

export function afterEndReceived(state: StreamState): StreamState {
  switch (state) {
    case StreamState.Open:
      return StreamState.HalfClosedRemote;
    case StreamState.HalfClosedLocal:
      return StreamState.Closed;
    default:
      throw new Error(`an END_STREAM was taken that should have been refused (state ${state})`);
  }
}

export function maySend(state: StreamState): boolean {
  return state === StreamState.Open || state === StreamState.HalfClosedRemote;
}

/** Whether HEADERS and DATA may still come. Else they are an error of type STREAM_CLOSED. */
export function mayReceive(state: StreamState): boolean {
  return state === StreamState.Open || state === StreamState.HalfClosedLocal;
}
