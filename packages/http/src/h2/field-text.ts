import { isBlank, table } from "../h1/tokens.ts";

const NAME_CHARACTERS = table("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");
const BAD_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** A token in lower case (RFC 9113 §8.2.1). */
export function isFieldName(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (NAME_CHARACTERS[name.charCodeAt(i)] !== 1) return false;
  return name !== "";
}

/** Without control characters but tab, and without blanks at its ends (RFC 9113 §8.2.1). */
export function isFieldValue(value: string): boolean {
  if (value === "") return true;
  return !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(value.length - 1)) && !BAD_IN_VALUE.test(value);
}
