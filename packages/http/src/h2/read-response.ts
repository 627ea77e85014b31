import { removeForbiddenTrailers } from "../h1/fields.ts";
import { ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { badField, badMessage, type MessageError } from "./message-error.ts";
import { Section } from "./read-fields.ts";

const BAD_PSEUDO = badMessage("a response has other pseudo-fields than one status"); // RFC 9113 §8.3.2
const BAD_STATUS = badField("the status is not a number from 100 to 599");
const SWITCHING = badMessage("101, which HTTP/2 does not have"); // RFC 9113 §8.6

const COLON = 0x3a;

/** What a header list says that is a response. It may be used for many responses whose lists are the same. */
export class ResponseMeaning {
  readonly status: number;
  readonly fields: readonly string[];
  /** Bytes; -1 if it is not said. */
  readonly contentLength: number;

  constructor(status: number, { fields, contentLength, host }: Section) {
    this.status = status;
    if (host !== undefined) fields.push("host", host); // means nothing in a response, so it passes
    this.fields = fields;
    this.contentLength = contentLength;
  }

  toHead(): ResponseHead {
    return new ResponseHead(this.status, new HeaderMap(this.fields.slice()), "", "2");
  }
}

/** RFC 9113 §8.3.2. */
export function readResponse(list: readonly string[], maxHeaderCount: number): ResponseMeaning | MessageError {
  if (list[0] !== ":status" || list[2]?.charCodeAt(0) === COLON) return BAD_PSEUDO;
  const status = STATUS.test(list[1]!) ? Number(list[1]) : 0; // name and value in turn
  if (status === 0) return BAD_STATUS;
  if (status === 101) return SWITCHING;
  const section = new Section();
  return section.read(list, 2, maxHeaderCount) ?? new ResponseMeaning(status, section);
}

const STATUS = /^[1-5][0-9][0-9]$/;

/** RFC 9113 §8.1: a trailer section has no pseudo-fields. Fields that may not stand there are left out (RFC 9110 §6.5.1). */
export function readTrailers(list: readonly string[], maxHeaderCount: number): HeaderMap | MessageError {
  const section = new Section();
  const error = section.read(list, 0, maxHeaderCount);
  if (error !== undefined) return error;
  removeForbiddenTrailers(section.fields);
  return new HeaderMap(section.fields);
}
