import { Buffer } from "node:buffer";
import { ProtobufReader, WireType } from "@heddle/http";
import { readStruct } from "./struct-messages.ts";

/** `envoy.service.auth.v3.CheckResponse`, as it was sent. */
export interface CheckResponse {
  /** `google.rpc.Status.code`; 0, which is what is meant where none is set, allows. */
  readonly code: number;
  readonly denied?: DeniedResponse;
  readonly ok?: OkResponse;
  /** The service could not decide, and says what the client shall be told. */
  readonly error?: DeniedResponse;
  readonly dynamicMetadata?: readonly (readonly [string, unknown])[];
}

export interface DeniedResponse {
  /** 0: none was set. */
  readonly status: number;
  readonly headers: readonly HeaderOption[];
  readonly body: Uint8Array;
}

export interface OkResponse {
  readonly headers: readonly HeaderOption[];
  readonly headersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderOption[];
  readonly queryParametersToSet: readonly (readonly [name: string, value: string])[];
  readonly queryParametersToRemove: readonly string[];
  /** The older place, which comes before the newer one. */
  readonly dynamicMetadata?: readonly (readonly [string, unknown])[];
}

/** `config.core.v3.HeaderValueOption`. Name and value hold bytes as latin1. */
export interface HeaderOption {
  readonly name: string;
  readonly value: string;
  /** Undefined: not set. */
  readonly append: boolean | undefined;
  /** The enum's number. */
  readonly appendAction: number;
}

/** Undefined: these bytes are no such message. */
export function readCheckResponse(bytes: Uint8Array): CheckResponse | undefined {
  try {
    return readResponse(bytes);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

class Malformed extends Error {}

/** Calls back with each field. Throws `Malformed` where the bytes are no message. */
function eachField(bytes: Uint8Array, onField: (reader: ProtobufReader) => void): void {
  const reader = new ProtobufReader(bytes);
  while (reader.next()) onField(reader);
  if (reader.broken) throw new Malformed();
}

/** A message that comes twice is one whose fields are those of both (protobuf.dev/programming-guides/encoding#last-one-wins). */
class Merged {
  bytes: Uint8Array | undefined = undefined;

  add(reader: ProtobufReader): void {
    this.bytes = this.bytes === undefined ? reader.bytes : Buffer.concat([this.bytes, reader.bytes]);
  }
}

function readResponse(bytes: Uint8Array): CheckResponse {
  const status = new Merged();
  const metadata = new Merged();
  let kind = 0; // of the oneof the one that came last
  let answer = new Merged();
  eachField(bytes, (reader) => {
    if (reader.wireType !== WireType.Bytes) return;
    switch (reader.field) {
      case 1:
        status.add(reader);
        return;
      case 2:
      case 3:
      case 5:
        if (kind !== reader.field) answer = new Merged();
        kind = reader.field;
        answer.add(reader);
        return;
      case 4:
        metadata.add(reader);
        return;
      default:
    }
  });
  const chosen = answer.bytes;
  return {
    code: status.bytes === undefined ? 0 : readCode(status.bytes),
    ...(kind === 2 && chosen !== undefined && { denied: readDenied(chosen) }),
    ...(kind === 3 && chosen !== undefined && { ok: readOk(chosen) }),
    ...(kind === 5 && chosen !== undefined && { error: readDenied(chosen) }),
    ...(metadata.bytes !== undefined && { dynamicMetadata: readMetadata(metadata.bytes) }),
  };
}

/** `google.rpc.Status { int32 code = 1; }`, `type.v3.HttpStatus { StatusCode code = 1; }` */
function readCode(bytes: Uint8Array): number {
  let code = 0;
  eachField(bytes, (reader) => {
    if (reader.is(1, WireType.Varint)) code = reader.varint;
  });
  return code;
}

function readDenied(bytes: Uint8Array): DeniedResponse {
  const status = new Merged();
  const headers: HeaderOption[] = [];
  let body: Uint8Array = new Uint8Array(0);
  eachField(bytes, (reader) => {
    if (reader.is(1, WireType.Bytes)) status.add(reader);
    else if (reader.is(2, WireType.Bytes)) headers.push(readHeaderOption(reader.bytes));
    else if (reader.is(3, WireType.Bytes)) body = reader.bytes;
  });
  return { status: status.bytes === undefined ? 0 : readCode(status.bytes), headers, body };
}

function readOk(bytes: Uint8Array): OkResponse {
  const headers: HeaderOption[] = [];
  const headersToRemove: string[] = [];
  const responseHeadersToAdd: HeaderOption[] = [];
  const queryParametersToSet: (readonly [string, string])[] = [];
  const queryParametersToRemove: string[] = [];
  const metadata = new Merged();
  eachField(bytes, (reader) => {
    if (reader.wireType !== WireType.Bytes) return;
    switch (reader.field) {
      case 2:
        headers.push(readHeaderOption(reader.bytes));
        return;
      case 3:
        metadata.add(reader);
        return;
      case 5:
        headersToRemove.push(reader.latin1.toLowerCase());
        return;
      case 6:
        responseHeadersToAdd.push(readHeaderOption(reader.bytes));
        return;
      case 7:
        queryParametersToSet.push(readPair(reader.bytes));
        return;
      case 8:
        queryParametersToRemove.push(reader.latin1);
        return;
      default:
    }
  });
  return {
    headers,
    headersToRemove,
    responseHeadersToAdd,
    queryParametersToSet,
    queryParametersToRemove,
    ...(metadata.bytes !== undefined && { dynamicMetadata: readMetadata(metadata.bytes) }),
  };
}

function readHeaderOption(bytes: Uint8Array): HeaderOption {
  const header = new Merged();
  const append = new Merged();
  let appendAction = 0;
  eachField(bytes, (reader) => {
    if (reader.is(1, WireType.Bytes)) header.add(reader);
    else if (reader.is(2, WireType.Bytes)) append.add(reader);
    else if (reader.is(3, WireType.Varint)) appendAction = reader.varint;
  });
  const [name, value] = header.bytes === undefined ? ["", ""] : readPair(header.bytes);
  return {
    name: name.toLowerCase(),
    value,
    append: append.bytes === undefined ? undefined : readCode(append.bytes) !== 0, // BoolValue { bool value = 1; }
    appendAction,
  };
}

/** `HeaderValue { string key = 1; string value = 2; bytes raw_value = 3; }`, `QueryParameter { string key = 1; string value = 2; }` */
function readPair(bytes: Uint8Array): readonly [name: string, value: string] {
  let name = "";
  let value = "";
  let raw = "";
  eachField(bytes, (reader) => {
    if (reader.is(1, WireType.Bytes)) name = reader.latin1;
    else if (reader.is(2, WireType.Bytes)) value = reader.latin1;
    else if (reader.is(3, WireType.Bytes)) raw = reader.latin1;
  });
  return [name, value === "" ? raw : value];
}

function readMetadata(bytes: Uint8Array): readonly (readonly [string, unknown])[] {
  const fields = readStruct(bytes);
  if (fields === undefined) throw new Malformed();
  return fields;
}
