import type { Clock } from "@heddle/base";
import type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "@heddle/traffic";
import { canonicalJson } from "./content-hash.ts";

/*
 * Endpoints as columns. Ten thousand of them as objects would stall a worker for tens of milliseconds when cloned; as
 * columns in shared memory they are read in slices between which the worker serves traffic.
 *
 *   header   5 x u32: magic, endpoints N, strings S, bytes of all strings, bytes of the head
 *   head     JSON: everything but the endpoints; each locality with its count of endpoints
 *   columns  N x u32 address, N x u32 hostname, N x u32 metadata   (each a place in the string table)
 *            N x u32 port, or mode + 1 of a pipe; N x u32 weight
 *            N x u8  health status; N x u8 1 for a pipe
 *   strings  S x u32 end of each string, then the strings in UTF-8
 *
 * Numbers are little-endian. A string stands once in the table, in the order of first use, so equal configuration gives
 * equal bytes, and endpoints with the same metadata share one object after reading.
 */

const MAGIC = 0x3150_4548; // "HEP1"
const HEADER_BYTES = 20;
const U32_COLUMNS = 5;
const U8_COLUMNS = 2;
const HEALTH = ["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"] as const;

/** What a slice reads before it looks at the clock again. */
const ENDPOINTS_PER_LOOK = 64;

interface Head extends Omit<EndpointsConfig, "localities"> {
  readonly localities: readonly (Omit<LocalityEndpoints, "endpoints"> & { readonly count: number })[];
}

export function encodeEndpoints(config: EndpointsConfig): Uint8Array<ArrayBuffer> {
  const endpoints = config.localities.flatMap((locality) => locality.endpoints);
  const strings = new StringTable();
  const rows = endpoints.map((endpoint) => ({
    endpoint,
    address: strings.place(endpoint.address.type === "pipe" ? endpoint.address.path : endpoint.address.address),
    hostname: strings.place(endpoint.hostname),
    metadata: strings.place(canonicalJson(endpoint.metadata)),
  }));
  const head: Head = {
    ...config,
    localities: config.localities.map(({ endpoints: of, ...locality }) => ({ ...locality, count: of.length })),
  };
  const headBytes = Buffer.from(canonicalJson(head));
  const stringBytes = Buffer.from(strings.all.join(""));

  const count = endpoints.length;
  const columnsAt = HEADER_BYTES + headBytes.byteLength;
  const endsAt = columnsAt + count * (4 * U32_COLUMNS + U8_COLUMNS);
  const stringsAt = endsAt + 4 * strings.all.length;
  const bytes = new Uint8Array(stringsAt + stringBytes.byteLength);
  const view = new DataView(bytes.buffer);
  [MAGIC, count, strings.all.length, stringBytes.byteLength, headBytes.byteLength].forEach((number, index) => {
    view.setUint32(4 * index, number, true);
  });
  bytes.set(headBytes, HEADER_BYTES);

  rows.forEach(({ endpoint, address, hostname, metadata }, row) => {
    const where = endpoint.address;
    const portOrMode = where.type === "socket" ? where.port : where.mode === undefined ? 0 : where.mode + 1;
    [address, hostname, metadata, portOrMode, endpoint.loadBalancingWeight].forEach((number, column) => {
      view.setUint32(columnsAt + 4 * (column * count + row), number, true);
    });
    const small = columnsAt + 4 * U32_COLUMNS * count + row;
    view.setUint8(small, HEALTH.indexOf(endpoint.healthStatus));
    view.setUint8(small + count, where.type === "pipe" ? 1 : 0);
  });

  let end = 0;
  strings.all.forEach((string, index) => {
    end += Buffer.byteLength(string);
    view.setUint32(endsAt + 4 * index, end, true);
  });
  bytes.set(stringBytes, stringsAt);
  return bytes;
}

class StringTable {
  readonly all: string[] = [];
  readonly #places = new Map<string, number>();

  place(string: string): number {
    const known = this.#places.get(string);
    if (known !== undefined) return known;
    this.#places.set(string, this.all.length);
    return this.all.push(string) - 1;
  }
}

/**
 * Reads endpoints back, a slice at a time:
 *
 *     const reader = new EndpointLaneReader(bytes);
 *     if (reader.step(1, clock)) use(reader.result);   // else again, next turn
 *
 * `bytes` may lie in shared memory and must not change meanwhile. Throws on bytes that `encodeLane` has not made.
 */
export class EndpointLaneReader {
  readonly #bytes: Buffer;
  readonly #head: Head;
  readonly #count: number;
  readonly #columnsAt: number;
  readonly #endsAt: number;
  readonly #stringsAt: number;
  readonly #strings: (string | undefined)[];
  readonly #metadata = new Map<number, EndpointConfig["metadata"]>();
  readonly #localities: LocalityEndpoints[] = [];
  #open: EndpointConfig[] = [];
  #row = 0;
  #result: EndpointsConfig | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const header = [0, 1, 2, 3, 4].map((index) => this.#bytes.readUInt32LE(4 * index));
    const [magic, count, strings, stringBytes, headBytes] = header as [number, number, number, number, number];
    this.#count = count;
    this.#columnsAt = HEADER_BYTES + headBytes;
    this.#endsAt = this.#columnsAt + count * (4 * U32_COLUMNS + U8_COLUMNS);
    this.#stringsAt = this.#endsAt + 4 * strings;
    if (magic !== MAGIC || this.#stringsAt + stringBytes !== bytes.byteLength)
      throw new TypeError(`these ${bytes.byteLength} bytes are no endpoint lane`);
    this.#strings = new Array(strings);
    this.#head = JSON.parse(this.#bytes.toString("utf8", HEADER_BYTES, this.#columnsAt));
  }

  /** Reads on for at most about `budgetMs`. True when all is read. */
  step(budgetMs: number, clock: Clock): boolean {
    const until = clock.now() + budgetMs;
    while (!this.#read(ENDPOINTS_PER_LOOK)) if (clock.now() >= until) return false;
    return true;
  }

  /** Reads what is left in one go. */
  readAll(): EndpointsConfig {
    while (!this.#read(Number.POSITIVE_INFINITY));
    return this.result;
  }

  /** Throws before `step` has answered true. */
  get result(): EndpointsConfig {
    if (this.#result === undefined) throw new Error("the endpoint lane has not been read to its end");
    return this.#result;
  }

  /** Reads at most that many endpoints. True when there are no more. */
  #read(most: number): boolean {
    if (this.#result !== undefined) return true;
    const until = Math.min(this.#row + most, this.#count);
    for (;;) {
      const locality = this.#head.localities[this.#localities.length];
      if (locality === undefined) break;
      while (this.#open.length < locality.count && this.#row < until) this.#open.push(this.#endpoint(this.#row++));
      if (this.#open.length < locality.count) return false;
      const { count: _, loadBalancingWeight, ...rest } = locality; // an undefined weight did not cross
      this.#localities.push({ ...rest, loadBalancingWeight, endpoints: this.#open });
      this.#open = [];
    }
    this.#result = { ...this.#head, localities: this.#localities };
    return true;
  }

  #endpoint(row: number): EndpointConfig {
    const text = this.#string(this.#column(0, row));
    const portOrMode = this.#column(3, row);
    const small = this.#columnsAt + 4 * U32_COLUMNS * this.#count + row;
    const isPipe = this.#bytes[small + this.#count] === 1;
    return {
      address: isPipe
        ? { type: "pipe", path: text, mode: portOrMode === 0 ? undefined : portOrMode - 1 }
        : { type: "socket", address: text, port: portOrMode },
      hostname: this.#string(this.#column(1, row)),
      healthStatus: HEALTH[this.#bytes[small] ?? 0] ?? "UNKNOWN",
      loadBalancingWeight: this.#column(4, row),
      metadata: this.#metadataAt(this.#column(2, row)),
    };
  }

  #column(column: number, row: number): number {
    return this.#bytes.readUInt32LE(this.#columnsAt + 4 * (column * this.#count + row));
  }

  #string(place: number): string {
    const known = this.#strings[place];
    if (known !== undefined) return known;
    const from = place === 0 ? 0 : this.#bytes.readUInt32LE(this.#endsAt + 4 * (place - 1));
    const to = this.#bytes.readUInt32LE(this.#endsAt + 4 * place);
    const string = this.#bytes.toString("utf8", this.#stringsAt + from, this.#stringsAt + to);
    this.#strings[place] = string;
    return string;
  }

  #metadataAt(place: number): EndpointConfig["metadata"] {
    let metadata = this.#metadata.get(place);
    if (metadata === undefined) {
      metadata = JSON.parse(this.#string(place)) as EndpointConfig["metadata"];
      this.#metadata.set(place, metadata);
    }
    return metadata;
  }
}
