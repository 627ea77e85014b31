import { isIPv4 } from "node:net";

/*
 * DNS messages, as far as a proxy has to look into them (RFC 1035 §4). A query is read as bytes and its question is given back
 * as bytes: letters keep their case (0x20), and a label that holds a dot stays one label. A codec that makes texts of names
 * loses both, and what is asked would no longer be what is answered.
 */

export const QTYPE = { A: 1, AAAA: 28, SRV: 33, OPT: 41, ANY: 255 } as const;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

/** What a client without EDNS takes by UDP (RFC 1035 §4.2.1). */
export const PLAIN_UDP_BYTES = 512;
/** The most that we send by UDP whatever a client says it takes: no fragments (DNS flag day 2020). */
const MOST_UDP_BYTES = 1232;
export const MOST_MESSAGE_BYTES = 65_535;

const HEADER_BYTES = 12;
const CLASS_IN = 1;
const CLASS_ANY = 255;

/** One question, as it came. */
export interface DnsQuery {
  readonly id: number;
  readonly opcode: number;
  /** The client's second and third line of flags, as they came. */
  readonly flags: number;
  /** Lower case, labels joined by dots; undefined where a label holds what would make that ambiguous. "" is the root. */
  readonly name: string | undefined;
  readonly type: number;
  readonly inClass: boolean;
  /** Where the question ends within the message. */
  readonly questionEnd: number;
  /** What the client takes by UDP; undefined: it has said nothing by EDNS. */
  readonly udpPayloadBytes: number | undefined;
  readonly hasAnswers: boolean;
  readonly hasAdditional: boolean;
}

/**
 * Reads a query. `ignore`: it is none, and an answer could go back and forth for ever. A number: the code of the answer that
 * it deserves. Never throws, and looks at no byte twice.
 */
export function parseQuery(bytes: Uint8Array): DnsQuery | number | "ignore" {
  if (bytes.length < HEADER_BYTES) return "ignore";
  const flags = u16(bytes, 2);
  if ((flags & FLAG_RESPONSE) !== 0) return "ignore";
  const opcode = (flags >> 11) & 0xf;
  if (opcode !== 0) return RCODE.NOTIMP;
  if (u16(bytes, 4) !== 1) return RCODE.FORMERR; // RFC 9619
  const name = readName(bytes, HEADER_BYTES);
  if (name === undefined || name.end + 4 > bytes.length) return RCODE.FORMERR;
  const qclass = u16(bytes, name.end + 2);
  const records = [u16(bytes, 6), u16(bytes, 8), u16(bytes, 10)] as const;
  const edns = readEdns(bytes, name.end + 4, records[0] + records[1] + records[2]);
  if (edns === "malformed") return RCODE.FORMERR;
  return {
    id: u16(bytes, 0),
    opcode,
    flags,
    name: name.text,
    type: u16(bytes, name.end),
    inClass: qclass === CLASS_IN || qclass === CLASS_ANY,
    questionEnd: name.end + 4,
    udpPayloadBytes: edns,
    hasAnswers: records[0] + records[1] > 0,
    hasAdditional: records[2] > 0,
  };
}

export type DnsRecord =
  | { readonly type: "address"; readonly address: string; readonly ttlS: number }
  | {
      readonly type: "srv";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
      readonly ttlS: number;
    };

export interface AnswerOptions {
  readonly rcode: number;
  readonly records: readonly DnsRecord[];
  /** Whether names that we do not have are looked up elsewhere (RA). */
  readonly recursive: boolean;
  /** Records that do not fit are left out, and TC is set. */
  readonly mostBytes: number;
}

/** The answer to a query: its question byte for byte, and records of that name. */
export function encodeAnswer(message: Uint8Array, query: DnsQuery, options: AnswerOptions): Uint8Array {
  const { rcode, records, recursive, mostBytes } = options;
  const edns = query.udpPayloadBytes !== undefined;
  const room = mostBytes - query.questionEnd - (edns ? EDNS_BYTES : 0);
  const encoded: Uint8Array[] = [];
  let length = 0;
  let truncated = false;
  for (const record of records) {
    const one = encodeRecord(record);
    if (length + one.length > room) {
      truncated = true;
      break;
    }
    encoded.push(one);
    length += one.length;
  }
  const answer = new Uint8Array(query.questionEnd + length + (edns ? EDNS_BYTES : 0));
  answer.set(message.subarray(0, query.questionEnd));
  const copied = query.flags & (FLAG_RD | FLAG_CD);
  putU16(answer, 2, FLAG_RESPONSE | copied | (truncated ? FLAG_TC : 0) | (recursive ? FLAG_RA : 0) | rcode);
  putU16(answer, 6, encoded.length);
  putU16(answer, 8, 0);
  putU16(answer, 10, edns ? 1 : 0);
  let at = query.questionEnd;
  for (const one of encoded) {
    answer.set(one, at);
    at += one.length;
  }
  if (edns) {
    putU16(answer, at + 1, QTYPE.OPT); // before it the root as name; behind it no extended code, version 0, no flags, no data
    putU16(answer, at + 3, MOST_UDP_BYTES);
  }
  return answer;
}

/** The answer to what could not be read: its header alone. */
export function encodeFailure(message: Uint8Array, rcode: number): Uint8Array {
  const answer = new Uint8Array(HEADER_BYTES);
  answer.set(message.subarray(0, 2));
  putU16(answer, 2, FLAG_RESPONSE | (u16(message, 2) & (FLAG_RD | OPCODE)) | rcode);
  return answer;
}

/** How large an answer by UDP may be. */
export function udpLimit({ udpPayloadBytes }: DnsQuery): number {
  return Math.min(Math.max(udpPayloadBytes ?? PLAIN_UDP_BYTES, PLAIN_UDP_BYTES), MOST_UDP_BYTES);
}

/** What matters of an answer: to which question it is, and whether it is worth passing on. */
export interface DnsResponse {
  readonly rcode: number;
  readonly truncated: boolean;
}

/**
 * Whether that is the answer to what was asked under that id: the same question, letter for letter but for their case. Servers
 * that refuse may leave the question out.
 */
export function parseResponse(bytes: Uint8Array, id: number, question: Uint8Array): DnsResponse | undefined {
  if (bytes.length < HEADER_BYTES || u16(bytes, 0) !== id) return undefined;
  const flags = u16(bytes, 2);
  if ((flags & FLAG_RESPONSE) === 0 || (flags & OPCODE) !== 0) return undefined;
  const rcode = flags & 0xf;
  const questions = u16(bytes, 4);
  const refused = questions === 0 && rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN;
  if (!refused && (questions !== 1 || !sameQuestion(bytes, question))) return undefined;
  return { rcode, truncated: (flags & FLAG_TC) !== 0 };
}

/** The question section of a query: what its response has to repeat. */
export function questionOf(message: Uint8Array, { questionEnd }: DnsQuery): Uint8Array {
  return message.slice(HEADER_BYTES, questionEnd);
}

/** A copy with another id. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(message);
  putU16(copy, 0, id);
  return copy;
}

function sameQuestion(bytes: Uint8Array, question: Uint8Array): boolean {
  if (bytes.length < HEADER_BYTES + question.length) return false;
  const nameEnd = question.length - 4;
  for (let i = 0; i < question.length; i++) {
    const got = bytes[HEADER_BYTES + i]!; // both are long enough
    const asked = question[i]!;
    if (got !== asked && (i >= nameEnd || lower(got) !== lower(asked))) return false;
  }
  return true;
}

interface ReadName {
  readonly text: string | undefined;
  readonly end: number;
}

/** A name that is written out, as a question's is: nothing stands before it that a pointer could point to. */
function readName(bytes: Uint8Array, start: number): ReadName | undefined {
  let text: string | undefined = "";
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > MOST_LABEL_BYTES) return undefined; // a pointer too
    at++;
    if (length === 0) break;
    if (at + length > bytes.length || at + length - start >= MOST_NAME_BYTES) return undefined;
    if (text !== undefined && text !== "") text += ".";
    for (const end = at + length; at < end; at++) {
      const byte = lower(bytes[at]!); // the end is not behind the last byte
      text = text === undefined || byte === DOT || byte <= 0x20 || byte >= 0x7f ? undefined : text + ASCII[byte];
    }
  }
  return { text, end: at };
}

/** Walks over the records behind the question. The payload that the client takes; undefined: it has no EDNS. */
function readEdns(bytes: Uint8Array, start: number, count: number): number | undefined | "malformed" {
  let at = start;
  let payload: number | undefined;
  for (let i = 0; i < count; i++) {
    const root = bytes[at] === 0;
    const name = skipName(bytes, at);
    if (name === undefined || name + 10 > bytes.length) return "malformed";
    if (u16(bytes, name) === QTYPE.OPT) {
      if (payload !== undefined || !root) return "malformed"; // RFC 6891 §6.1.1
      payload = u16(bytes, name + 2);
    }
    at = name + 10 + u16(bytes, name + 8);
    if (at > bytes.length) return "malformed";
  }
  return payload;
}

/** Where what follows a name begins. A pointer ends the name and is not followed. */
function skipName(bytes: Uint8Array, start: number): number | undefined {
  for (let at = start; at - start < MOST_NAME_BYTES; ) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= POINTER) return at + 2;
    if (length > MOST_LABEL_BYTES) return undefined;
    at += 1 + length;
  }
  return undefined;
}

function encodeRecord(record: DnsRecord): Uint8Array {
  const data = record.type === "address" ? addressBytes(record.address) : srvBytes(record);
  const type = record.type === "srv" ? QTYPE.SRV : data.length === 4 ? QTYPE.A : QTYPE.AAAA;
  const bytes = new Uint8Array(RECORD_BYTES + data.length);
  putU16(bytes, 0, 0xc000 | HEADER_BYTES); // the name of the question
  putU16(bytes, 2, type);
  putU16(bytes, 4, CLASS_IN);
  putU16(bytes, 6, Math.floor(record.ttlS / 65_536) & 0x7fff); // RFC 2181 §8: 31 bits
  putU16(bytes, 8, record.ttlS % 65_536);
  putU16(bytes, 10, data.length);
  bytes.set(data, RECORD_BYTES);
  return bytes;
}

function srvBytes({ priority, weight, port, target }: Extract<DnsRecord, { type: "srv" }>): Uint8Array {
  const name = nameBytes(target);
  const bytes = new Uint8Array(6 + name.length);
  putU16(bytes, 0, priority);
  putU16(bytes, 2, weight);
  putU16(bytes, 4, port);
  bytes.set(name, 6); // written out: RFC 2782, "name compression is not to be used"
  return bytes;
}

/** Of a name that configuration says; its labels are at most 63 bytes long (`isDnsName`). */
function nameBytes(name: string): Uint8Array {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([
    ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ]);
}

/** The 4 or 16 bytes of an address. */
export function addressBytes(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split("."), Number);
  const bytes = new Uint8Array(16);
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  for (const [i, group] of before.entries()) putU16(bytes, 2 * i, group);
  for (const [i, group] of after.entries()) putU16(bytes, 16 - 2 * (after.length - i), group);
  return bytes;
}

/** "a:b" and "a:192.0.2.1" as numbers of 16 bits. */
function groups(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [256 * a + b, 256 * c + d];
  });
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}

function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

const FLAG_RESPONSE = 0x8000;
const OPCODE = 0x7800;
const FLAG_TC = 0x0200;
const FLAG_RD = 0x0100;
const FLAG_RA = 0x0080;
const FLAG_CD = 0x0010;
const MOST_LABEL_BYTES = 63;
const MOST_NAME_BYTES = 255;
const POINTER = 0xc0;
const DOT = 0x2e;
/** Name, type, class, TTL and length of an answer, and of an OPT record. */
const RECORD_BYTES = 12;
const EDNS_BYTES = 11;
const ASCII = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
