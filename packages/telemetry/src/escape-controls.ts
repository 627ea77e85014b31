// C0 and C1 controls, DEL, and the two separators that some readers take for an end of line.
const CONTROLS = /[\p{Cc}\u2028\u2029]/gu;

/** Makes control characters visible ("\n" becomes `\x0a`), so that what a client sent can neither end a line nor steer a terminal. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, escaped);
}

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, "0")}`;
}
