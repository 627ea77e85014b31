import type { RequestHead } from "@heddle/http";

/**
 * Sets and removes parameters of the query. What is not named stays as it was written; a name that is set twice in the query is
 * set once afterwards. A parameter is found by its name as it is written and as it decodes: one that has to go could come
 * escaped. False: what is set cannot stand in a query (RFC 3986 §3.4).
 */
export function changeQuery(
  head: RequestHead,
  set: readonly (readonly [name: string, value: string])[],
  remove: readonly string[],
): boolean {
  if (set.length === 0 && remove.length === 0) return true;
  if (!set.every(([name, value]) => NAME.test(name) && VALUE.test(value)) || !head.path.startsWith("/")) return false;
  const mark = head.path.indexOf("?");
  const path = mark === -1 ? head.path : head.path.slice(0, mark);
  let pieces = mark === -1 ? [] : head.path.slice(mark + 1).split("&");
  if (pieces.length === 1 && pieces[0] === "") pieces = [];
  for (const [name, value] of set) {
    const first = pieces.findIndex((piece) => isNamed(piece, name));
    const piece = `${name}=${value}`;
    if (first === -1) pieces.push(piece);
    else pieces = pieces.flatMap((old, index) => (index === first ? piece : isNamed(old, name) ? [] : old));
  }
  for (const name of remove) pieces = pieces.filter((piece) => !isNamed(piece, name));
  head.path = pieces.length === 0 ? path : `${path}?${pieces.join("&")}`;
  return true;
}

function isNamed(piece: string, name: string): boolean {
  const equals = piece.indexOf("=");
  const written = equals === -1 ? piece : piece.slice(0, equals);
  return written === name || decoded(written) === decoded(name);
}

/** As forms decode; what is no escape stays. */
function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  const bytes = text
    .replaceAll("+", " ")
    .replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return bytes;
}

const NAME = /^(?:[A-Za-z0-9._~!$'()*+,;:@/?[\]-]|%[0-9A-Fa-f]{2})+$/;
const VALUE = /^(?:[A-Za-z0-9._~!$'()*+,;:@/?[\]=-]|%[0-9A-Fa-f]{2})*$/;
