// C0 and C1 controls, DEL, and the two separators that some readers take for an end of line.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding these is its purpose
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Makes control characters visible ("\n" becomes `\x0a`), so that what a client sent can neither end a line nor steer a terminal. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, escaped);
}

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, "0")}`;
}
