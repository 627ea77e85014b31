import { createHash } from "node:crypto";
import { err, ok, systemClock } from "@heddle/base";
import type { Log, MetricScope } from "@heddle/telemetry";
import { typeUrlOfKind } from "./protocol/type-urls.ts";
import type { Reference, ResourceKind, ResourceType } from "./resource/resource-type.ts";
import type { EncodedResource, Snapshot, SnapshotSource, SnapshotWatch, XdsNode } from "./snapshot.ts";

/*
 * For tests of whatever speaks xDS: a source whose snapshot is set by hand, and resources small enough to be read in a
 * test. A text resource is a protobuf message like any of Envoy's (its name is field 1) that carries one text (field 2).
 */

export interface TextConfig {
  readonly name: string;
  readonly text: string;
}

/** A type whose resources carry a text. One that begins with "bad" is refused, with one reason for each "bad" in it. */
export function textType(kind: ResourceKind): ResourceType<unknown> {
  return {
    typeUrl: typeUrlOfKind(kind),
    kind,
    completeInSotw: kind === "listener" || kind === "cluster",
    decode(bytes) {
      const config = readText(bytes);
      if (config === undefined) return err(["not a text resource"]);
      const reasons = config.text.split(" ").filter((word) => word.startsWith("bad"));
      return reasons.length > 0 ? err(reasons.map((reason) => `text: ${reason}`)) : ok({ config, unhonoured: [] });
    },
    encode: (config) => textBytes((config as TextConfig).name, (config as TextConfig).text),
    nameOf: (config) => (config as TextConfig).name,
    references: () => [],
  };
}

export function textResource(name: string, text: string, references?: readonly Reference[]): EncodedResource {
  const bytes = textBytes(name, text);
  const version = createHash("sha256").update(bytes).digest("base64url").slice(0, 12);
  return references === undefined ? { name, version, bytes } : { name, version, bytes, references };
}

/** `{ cluster: { a: "1" } }` is a snapshot with one cluster named "a" that carries the text "1". */
export type TextWorld = { readonly [kind in ResourceKind]?: { readonly [name: string]: string } };

export function textSnapshot(world: TextWorld): Snapshot {
  const types = Object.entries(world).map(([kind, texts]) => {
    const resources = Object.entries(texts).map(([name, text]) => [name, textResource(name, text)] as const);
    return [typeUrlOfKind(kind as ResourceKind), new Map(resources)] as const;
  });
  return { resources: new Map(types) };
}

/** The same snapshot for every node, replaced by hand. */
export class SettableSource implements SnapshotSource {
  #current: Snapshot | undefined;
  readonly #watchers: Set<() => void> = new Set();
  /** Every on-demand request so far, "<type URL> <name>". */
  readonly requested: string[] = [];
  /** Asked before an on-demand request is answered: may `set` what it asks for. */
  onRequest: ((name: string) => void) | undefined;

  constructor(initial?: Snapshot) {
    this.#current = initial;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  set(snapshot: Snapshot): void {
    this.#current = snapshot;
    for (const watcher of Array.from(this.#watchers)) watcher();
  }

  watch(_node: XdsNode, onChange: () => void): SnapshotWatch {
    const watcher = (): void => onChange();
    this.#watchers.add(watcher);
    const current = (): Snapshot | undefined => this.#current;
    const { requested } = this;
    const onRequest = (name: string): void => this.onRequest?.(name);
    const watchers = this.#watchers;
    return {
      get current() {
        return current();
      },
      request(typeUrl, names) {
        for (const name of names) requested.push(`${typeUrl} ${name}`);
        for (const name of names) onRequest(name);
      },
      close() {
        watchers.delete(watcher);
      },
    };
  }
}

/** Waits, looking again at each turn, until it is so; fails after 15 s. */
export async function eventually(condition: () => boolean, what = "what was waited for"): Promise<void> {
  const deadlineMs = systemClock.now() + 30_000;
  while (!condition()) {
    if (systemClock.now() > deadlineMs) throw new Error(`${what} did not happen in 30 s`);
    await new Promise<void>((resolve) => systemClock.after(1, resolve));
  }
}

export function testNode(id = "default/web/1"): XdsNode {
  return {
    id,
    cluster: "web",
    metadata: {},
    locality: { region: "", zone: "", subZone: "" },
    userAgentName: "heddle",
    userAgentVersion: "0.1.0",
    clientFeatures: [],
  };
}

/** Writes nothing. */
export const quietLog: Log = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quietLog,
  enabled: () => false,
};

/** Counts nothing. */
export const quietMetrics: MetricScope = {
  counter: () => ({ add: () => undefined }),
  gauge: () => ({ set: () => undefined, add: () => undefined }),
  histogram: () => ({ record: () => undefined }),
  group: () => quietMetrics,
  scope: () => quietMetrics,
};

function textBytes(name: string, text: string): Uint8Array {
  return Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(text))]);
}

function field(number: number, value: Buffer): Buffer {
  if (value.length > 127) throw new RangeError("a test's text is at most 127 bytes long");
  return Buffer.concat([Buffer.from([(number << 3) | 2, value.length]), value]);
}

function readText(bytes: Uint8Array): TextConfig | undefined {
  const nameLength = bytes[1];
  if (bytes[0] !== 0x0a || nameLength === undefined) return undefined;
  const name = Buffer.from(bytes.subarray(2, 2 + nameLength)).toString();
  const rest = bytes.subarray(2 + nameLength);
  return rest[0] === 0x12 ? { name, text: Buffer.from(rest.subarray(2)).toString() } : undefined;
}
