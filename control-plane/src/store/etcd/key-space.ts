import type { StoredEntry } from "../store.ts";
import type { KeyValue } from "./etcd-wire.ts";

/** The store's part of an etcd: every key that begins with the prefix. */
export class KeySpace {
  readonly first: Buffer;
  /** Behind the last one. */
  readonly end: Buffer;

  constructor(prefix: string) {
    this.first = Buffer.from(prefix);
    this.end = Buffer.from(this.first);
    this.end[this.end.length - 1]! += 1; // a prefix ends in a slash
  }

  toEtcd(key: string): Buffer {
    return Buffer.concat([this.first, Buffer.from(key)]);
  }

  /** Undefined for a key that a store cannot have put there: it is no UTF-8, or nothing but the prefix. */
  fromEtcd(key: Buffer): string | undefined {
    const own = key.subarray(this.first.length);
    const text = own.toString();
    return text !== "" && Buffer.from(text).equals(own) ? text : undefined;
  }

  toEntry(kv: KeyValue): StoredEntry | undefined {
    const key = this.fromEtcd(kv.key);
    const { value, modRevision, createRevision } = kv;
    return key === undefined ? undefined : { key, value, revision: modRevision, createdRevision: createRevision };
  }
}
