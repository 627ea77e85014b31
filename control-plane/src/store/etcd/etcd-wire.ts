import {
  decodeMessage,
  encodeMessage,
  fieldOf,
  flagOf,
  type Message,
  messageOf,
  messagesOf,
  numberOf,
  textOf,
} from "@heddle/proto";

/* The messages of etcd's v3 API that the store uses (proto/etcd/rpc.proto), as plain objects. Decoding throws on other bytes. */

/** `mvccpb.KeyValue`. */
export interface KeyValue {
  readonly key: Buffer;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
}

export interface RangeRequest {
  readonly key: Uint8Array;
  /** Exclusive. Left out: that one key. */
  readonly rangeEnd?: Uint8Array;
  readonly limit?: number;
  /** 0: now. */
  readonly revision?: number;
  readonly keysOnly?: boolean;
}

export interface RangeResponse {
  readonly clusterId: number;
  readonly revision: number;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
}

export interface TxnRequest {
  /** All of these have to have been changed last at that revision; 0: are not there. */
  readonly expected: readonly { readonly key: Uint8Array; readonly modRevision: number }[];
  readonly changes: readonly { readonly key: Uint8Array; readonly value: Uint8Array | undefined }[];
}

export type TxnResponse =
  /** `changed`: at least one thing was put, or deleted that was there. */
  | { readonly succeeded: true; readonly revision: number; readonly changed: boolean }
  /** What was found under the keys that were expected, without values. */
  | { readonly succeeded: false; readonly revision: number; readonly found: readonly KeyValue[] };

export interface WatchResponse {
  readonly revision: number;
  readonly created: boolean;
  readonly canceled: boolean;
  /** Other than 0: what lies before it is forgotten. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly events: readonly { readonly deleted: boolean; readonly kv: KeyValue }[];
}

const MOD = 2;
const DELETED = 1;

export function encodeRange(request: RangeRequest): Buffer {
  return encode("RangeRequest", rangeMessage(request));
}

export function decodeRange(bytes: Uint8Array): RangeResponse {
  const message = decode("RangeResponse", bytes);
  const header = messageOf(message, "header") ?? {};
  return {
    clusterId: numberOf(header, "cluster_id"),
    revision: numberOf(header, "revision"),
    kvs: messagesOf(message, "kvs").map(readKeyValue),
    more: flagOf(message, "more"),
  };
}

export function encodeTxn({ expected, changes }: TxnRequest): Buffer {
  return encode("TxnRequest", {
    compare: expected.map(({ key, modRevision }) => ({ target: MOD, key, mod_revision: modRevision })),
    success: changes.map(({ key, value }) =>
      value === undefined ? { request_delete_range: { key } } : { request_put: { key, value } },
    ),
    failure: expected.map(({ key }) => ({ request_range: rangeMessage({ key, keysOnly: true }) })),
  });
}

export function decodeTxn(bytes: Uint8Array): TxnResponse {
  const message = decode("TxnResponse", bytes);
  const revision = numberOf(messageOf(message, "header") ?? {}, "revision");
  const responses = messagesOf(message, "responses");
  if (fieldOf(message, "succeeded") !== true) {
    const found = responses.flatMap((response) =>
      messagesOf(messageOf(response, "response_range") ?? {}, "kvs").map(readKeyValue),
    );
    return { succeeded: false, revision, found };
  }
  // A put answers with nothing that we read; a deletion with how many keys it found.
  const changed = responses.some((response) => {
    const deletion = messageOf(response, "response_delete_range");
    return deletion === undefined || numberOf(deletion, "deleted") > 0;
  });
  return { succeeded: true, revision, changed };
}

export function encodeWatch(key: Uint8Array, rangeEnd: Uint8Array, startRevision: number): Buffer {
  return encode("WatchRequest", { create_request: { key, range_end: rangeEnd, start_revision: startRevision } });
}

/** Asks for a response, whatever happens. */
export function encodeProgressRequest(): Buffer {
  return encode("WatchRequest", { progress_request: {} });
}

export function decodeWatch(bytes: Uint8Array): WatchResponse {
  const message = decode("WatchResponse", bytes);
  return {
    revision: numberOf(messageOf(message, "header") ?? {}, "revision"),
    created: flagOf(message, "created"),
    canceled: flagOf(message, "canceled"),
    compactRevision: numberOf(message, "compact_revision"),
    cancelReason: textOf(message, "cancel_reason"),
    events: messagesOf(message, "events").map((event) => ({
      deleted: fieldOf(event, "type") === DELETED,
      kv: readKeyValue(messageOf(event, "kv") ?? {}),
    })),
  };
}

export function encodeAuthenticate(name: string, password: string): Buffer {
  return encode("AuthenticateRequest", { name, password });
}

/** Gives the token. */
export function decodeAuthenticate(bytes: Uint8Array): string {
  return textOf(decode("AuthenticateResponse", bytes), "token");
}

function rangeMessage({ key, rangeEnd, limit, revision, keysOnly }: RangeRequest): Message {
  return { key, range_end: rangeEnd, limit, revision, keys_only: keysOnly };
}

function readKeyValue(message: Message): KeyValue {
  return {
    key: Buffer.from((fieldOf(message, "key") ?? []) as Uint8Array),
    // A copy: it must not keep the whole response in memory.
    value: Uint8Array.from((fieldOf(message, "value") ?? []) as Uint8Array),
    createRevision: numberOf(message, "create_revision"),
    modRevision: numberOf(message, "mod_revision"),
  };
}

function encode(name: string, message: Message): Buffer {
  const set = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined));
  return Buffer.from(encodeMessage(`etcdserverpb.${name}`, set));
}

function decode(name: string, bytes: Uint8Array): Message {
  const read = decodeMessage(`etcdserverpb.${name}`, bytes);
  if (!read.ok) throw new Error(read.error);
  return read.value;
}
