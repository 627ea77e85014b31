import { removeForbiddenTrailers } from "../h1/fields.ts";
import { ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import type { DecodedBlock } from "./hpack/index.ts";
import { badField, badMessage, type MessageError } from "./message-error.ts";
import { fieldsLike, Section, type SectionFields, verbatimFrom } from "./read-fields.ts";

const BAD_PSEUDO = badMessage("a response has other pseudo-fields than one status"); // RFC 9113 §8.3.2
const BAD_STATUS = badField("the status is not a number from 100 to 599");
const SWITCHING = badMessage("101, which HTTP/2 does not have"); // RFC 9113 §8.6

const COLON = 0x3a;

/** What a header list says that is a response. It may be used for many responses whose lists are the same, or alike. */
export class ResponseMeaning {
  readonly status: number;
  readonly fields: string[];
  /** Bytes; -1 if it is not said. */
  readonly contentLength: number;
  /** It is for one response, which may have the fields for its own. */
  readonly #once: boolean;
  /** As `verbatimFrom` answers; -2: nobody has asked. */
  #likeFrom = -2;

  constructor(status: number, { fields, contentLength }: SectionFields, once = false) {
    this.status = status;
    this.fields = fields;
    this.contentLength = contentLength;
    this.#once = once;
  }

  toHead(): ResponseHead {
    return new ResponseHead(this.status, new HeaderMap(this.#once ? this.fields : this.fields.slice()), "", "2");
  }

  /** Of a block whose `like` says this. Undefined: it has to be read as a whole. */
  ofLike(block: DecodedBlock): ResponseMeaning | undefined {
    if (this.#likeFrom === -2) this.#likeFrom = verbatimFrom(block.like!.fields, this.fields); // the caller has it from there
    const fields = fieldsLike(block, this.#likeFrom);
    return fields && new ResponseMeaning(this.status, { fields, contentLength: this.contentLength }, true);
  }
}

/** RFC 9113 §8.3.2. */
export function readResponse(list: readonly string[], maxHeaderCount: number): ResponseMeaning | MessageError {
  if (list[0] !== ":status" || list[2]?.charCodeAt(0) === COLON) return BAD_PSEUDO;
  const status = STATUS.test(list[1]!) ? Number(list[1]) : 0; // name and value in turn
  if (status === 0) return BAD_STATUS;
  if (status === 101) return SWITCHING;
  const section = new Section();
  const error = section.read(list, 2, maxHeaderCount);
  if (error !== undefined) return error;
  if (section.host !== undefined) section.fields.push("host", section.host); // means nothing in a response, so it passes
  return new ResponseMeaning(status, section);
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
