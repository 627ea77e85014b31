import { X509Certificate } from "node:crypto";
import { Certificate } from "./certificate.ts";

/** The certificates in a text, in order; what else stands there (keys, lists, remarks) is left alone. Throws on one that is none. */
export function certificatesInPem(text: string): readonly Certificate[] {
  // OpenSSL takes the form with a note on trust behind it, too, and gives the certificate alone.
  return (text.match(CERTIFICATE) ?? []).map((pem) => new Certificate(new X509Certificate(pem).raw));
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;
