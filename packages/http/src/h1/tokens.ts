/** 1 for the bytes of `tchar` (RFC 9110 §5.6.2), by code. */
export const TCHAR: Uint8Array = table("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

/** Whether `text` is a `token`: at least one character, all of them tchar. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (TCHAR[text.charCodeAt(i)] !== 1) return false;
  return text !== "";
}

/** Without spaces and tabs around it (OWS, RFC 9110 §5.6.3). `trim` would also take what only Unicode calls white. */
export function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.substring(from, to);
}

export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** The table of a set of latin1 characters; anything above reads as undefined, which is not 1 either. */
export function table(characters: string): Uint8Array {
  const codes = new Uint8Array(256);
  for (let i = 0; i < characters.length; i++) codes[characters.charCodeAt(i)] = 1;
  return codes;
}
