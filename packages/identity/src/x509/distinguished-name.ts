import { DerError, DerTag, derElements, oidText } from "./der.ts";

/**
 * A distinguished name (RFC 5280 §4.1.2.4) as text of RFC 2253: the last part first, "CN=shop,OU=web,O=Example". Envoy writes
 * names so in `x-forwarded-client-cert` and in logs.
 */
export function nameText(sequence: Uint8Array): { readonly text: string; readonly commonName: string } {
  let commonName = "";
  const parts = derElements(sequence).map((set) =>
    derElements(set.content)
      .map((pair) => {
        const [type, value] = derElements(pair.content);
        if (type === undefined || value === undefined) throw new DerError("half an attribute of a name");
        const oid = oidText(type.content);
        const text = decoded(value.tag, value.content);
        if (oid === COMMON_NAME) commonName = text;
        return `${SHORT[oid] ?? oid}=${escaped(text)}`;
      })
      .join("+"),
  );
  return { text: parts.reverse().join(","), commonName };
}

const COMMON_NAME = "2.5.4.3";

/** OpenSSL's short names. */
const SHORT: Readonly<Record<string, string>> = {
  [COMMON_NAME]: "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "2.5.4.46": "dnQualifier",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

function decoded(tag: number, content: Uint8Array): string {
  const bytes = Buffer.from(content);
  if (tag === DerTag.BmpString) return bytes.length % 2 === 0 ? bytes.swap16().toString("utf16le") : "";
  return bytes.toString(tag === DerTag.Utf8String ? "utf8" : "latin1");
}

/** RFC 2253 §2.4; control characters as hexadecimal pairs, so that no name breaks out of a header or a log line. */
function escaped(text: string): string {
  return text
    .replace(/[,+"\\<>;]/g, "\\$&")
    .replace(/\p{Cc}/gu, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`)
    .replace(/^[ #]/, "\\$&")
    .replace(/ $/, "\\ ");
}
