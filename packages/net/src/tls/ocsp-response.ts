import type { X509Certificate } from "node:crypto";
import { Certificate, type DerElement, DerError, DerTag, derElement, derElements, oidText } from "@heddle/identity";

/** What an authority has said of one certificate (RFC 6960 §4.2.1), as far as whoever staples it has to know. */
export interface OcspResponse {
  /** Of the certificate: hexadecimal, without leading zeros. */
  readonly serialNumber: string;
  /** Wall time; until then it is worth something. */
  readonly nextUpdateMs: number;
}

/** Reads a response in DER. The error says what is wrong with it; whether its signature holds is asked by clients. */
export function parseOcspResponse(der: Uint8Array): OcspResponse | { readonly error: string } {
  try {
    return readResponse(der);
  } catch (error) {
    if (error instanceof DerError) return { error: `is no OCSP response in DER (${error.message})` };
    throw error;
  }
}

/** Whether it speaks of that certificate, as far as its serial number says. */
export function isAbout({ serialNumber }: OcspResponse, certificate: X509Certificate): boolean {
  return serialNumber === new Certificate(certificate.raw).serialNumber;
}

/** OCSPResponse: status, [0] {type, BasicOCSPResponse in an octet string}. */
function readResponse(der: Uint8Array): OcspResponse | { readonly error: string } {
  const [status, wrapped] = derElements(derElement(der, DerTag.Sequence).content);
  if (status?.tag !== ENUMERATED) throw new DerError("no status");
  if (status.content.length !== 1 || status.content[0] !== 0)
    return { error: "is the answer of a responder that failed" };
  if (wrapped?.tag !== 0xa0) throw new DerError("no response");
  const [type, bytes] = derElements(derElement(wrapped.content, DerTag.Sequence).content);
  if (type === undefined || bytes?.tag !== DerTag.OctetString || oidText(type.content) !== BASIC) {
    return { error: "is of another type than id-pkix-ocsp-basic" };
  }
  const [data] = derElements(derElement(bytes.content, DerTag.Sequence).content);
  if (data === undefined) throw new DerError("no response data");
  // ResponseData: [0] version?, responder, when, the answers.
  const answers = derElements(data.content).find(({ tag }) => tag === DerTag.Sequence);
  const [answer, ...more] = answers === undefined ? [] : derElements(answers.content);
  if (answer === undefined) throw new DerError("no answer");
  if (more.length > 0) return { error: "answers for more than one certificate" };
  return readAnswer(answer);
}

const ENUMERATED = 0x0a;
const BASIC = "1.3.6.1.5.5.7.48.1.1";

/** SingleResponse: the certificate's ID, its status, this update, [0] the next update?, [1] extensions? */
function readAnswer(answer: DerElement): OcspResponse | { readonly error: string } {
  const parts = derElements(answer.content);
  const serial = parts[0] === undefined ? undefined : derElements(parts[0].content)[3];
  if (serial === undefined) throw new DerError("no serial number");
  const next = parts.slice(2).find(({ tag }) => tag === 0xa0);
  if (next === undefined) return { error: "does not say until when it holds (nextUpdate)" };
  const text = Buffer.from(derElement(next.content, DerTag.GeneralizedTime).content).toString("latin1");
  const time = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (time === null) throw new DerError("a time that is none");
  const [, year, month, day, hour, minute, second] = time;
  return {
    serialNumber: Buffer.from(serial.content)
      .toString("hex")
      .replace(/^(?:00)+(?=..)/, ""),
    nextUpdateMs: Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`),
  };
}
