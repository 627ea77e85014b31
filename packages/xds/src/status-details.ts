/** Of `grpc-message` on the wire: a head that is too long costs its connection, with every stream on it. */
const MAX_ENCODED = 4096;

/**
 * A text as the details of a gRPC status: no half of a surrogate pair, with which `encodeURI` throws where gRPC writes it, and
 * no more of it than goes into trailers. What is left out is an ellipsis.
 */
export function statusDetails(text: string): string {
  const whole = text.slice(0, MAX_ENCODED + 1).toWellFormed();
  let end = 0;
  let encoded = 0;
  for (const character of whole) {
    encoded += encodeURI(character).length;
    if (encoded > MAX_ENCODED) return `${whole.slice(0, end)}…`;
    end += character.length;
  }
  return whole;
}
