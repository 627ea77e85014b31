/** A reason list is cut here: it travels in one message and ends in logs. */
const MAX_NACK_LENGTH = 16_384;

/** The text of a NACK: every reason on a line of its own. */
export function nackMessage(errors: readonly string[]): string {
  let message = "";
  for (const [index, error] of errors.entries()) {
    if (message.length + error.length > MAX_NACK_LENGTH) {
      return `${message}${message === "" ? error.slice(0, MAX_NACK_LENGTH) : ""}\nand ${errors.length - index} more`;
    }
    message += index === 0 ? error : `\n${error}`;
  }
  return message;
}
