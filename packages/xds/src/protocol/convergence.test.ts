import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { encodeWrappedResource } from "@heddle/proto";
import fc from "fast-check";
import type { ResourceKind } from "../resource/resource-type.ts";
import type { Snapshot } from "../snapshot.ts";
import type { ResourceUpdate } from "../subscription.ts";
import { type TextConfig, testNode, textSnapshot, textType } from "../testing.ts";
import { deltaClient } from "./client-delta.ts";
import { ClientSession } from "./client-session.ts";
import { sotwClient } from "./client-sotw.ts";
import type { MakeClientType } from "./client-type.ts";
import {
  type BodilessResource,
  deltaServer,
  type ServerResponse,
  ServerSession,
  type ServerVariant,
  sotwServer,
} from "./server-session.ts";
import { traitsOf, typeUrlOfKind, WRAPPED_RESOURCE_TYPE_URL } from "./type-urls.ts";
import type {
  AnyMessage,
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "./wire.ts";

/*
 * Whatever order snapshots change in, subscriptions change in, messages arrive in and streams break in: when everything has
 * come to rest, the client holds exactly what the snapshot has of what it wants. Texts that begin with "bad" are refused by
 * the client, which then keeps what it had; ones that begin with "mortal" have a time to live, which may end while nothing is
 * delivered.
 */

const KINDS: readonly ResourceKind[] = ["cluster", "endpoints", "listener", "route-configuration"];
const NAMES = ["a", "b", "c"];
const TTL_MS = 20_000;
/** Longer than any push is held back, and shorter than the half of a time to live. */
const REST_MS = 6000;

type Move =
  | { readonly move: "change"; readonly kind: ResourceKind; readonly name: string; readonly text: string | undefined }
  | { readonly move: "want"; readonly kind: ResourceKind; readonly names: readonly string[] }
  | { readonly move: "adjust"; readonly kind: ResourceKind; readonly name: string; readonly wanted: boolean }
  | { readonly move: "to-server" | "to-client" | "break" }
  | { readonly move: "wait"; readonly ms: number };

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      move: fc.constant("change" as const),
      kind: fc.constantFrom(...KINDS),
      name: fc.constantFrom(...NAMES),
      text: fc.constantFrom("1", "2", "3", "mortal 1", "mortal 2", "bad", undefined),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      move: fc.constant("want" as const),
      kind: fc.constantFrom(...KINDS),
      names: fc.subarray(["*", ...NAMES]),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      move: fc.constant("adjust" as const),
      kind: fc.constantFrom(...KINDS),
      name: fc.constantFrom(...NAMES),
      wanted: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ move: fc.constant("to-server" as const) }) },
  { weight: 6, arbitrary: fc.record({ move: fc.constant("to-client" as const) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant("break" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ move: fc.constant("wait" as const), ms: fc.constantFrom(100, 6000, 16_000, 30_000) }),
  },
);

for (const variant of ["sotw", "delta"] as const) {
  test(`${variant}: however it came about, in the end the client holds what it wants of the snapshot`, () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 80, size: "max" }), (moves) => {
        const pair =
          variant === "sotw" ? new Pair(sotwClient, sotwServer, toSotw) : new Pair(deltaClient, deltaServer, toDelta);
        for (const step of moves) pair.play(step);
        pair.settle();
        pair.check(variant === "delta");
      }),
      { seed: 20261121, numRuns: 2000 },
    );
  });
}

/** A client and a server with a wire between them that delivers when told, and breaks. */
class Pair<
  Request extends DiscoveryRequest | DeltaDiscoveryRequest,
  Response extends DiscoveryResponse | DeltaDiscoveryResponse,
> {
  readonly #clock = new ManualClock();
  readonly #client: ClientSession<Request, Response>;
  readonly #variant: ServerVariant<Request>;
  readonly #toResponse: (response: ServerResponse) => Response;
  #server: ServerSession<Request>;
  #up: Request[] = [];
  #down: Response[] = [];
  /** Responses so far that held more than heartbeats. */
  #news = 0;
  readonly #world: { [kind in ResourceKind]: { [name: string]: string } } = {
    cluster: {},
    endpoints: {},
    listener: {},
    "route-configuration": {},
    secret: {},
    "extension-config": {},
    runtime: {},
    "virtual-host": {},
  };
  #snapshot: Snapshot = textSnapshot({});
  readonly #wanted: Map<ResourceKind, readonly string[]> = new Map();
  /** What somebody who only listens to updates would hold. */
  readonly #view: Map<string, string> = new Map();

  constructor(
    make: MakeClientType<Request, Response>,
    variant: ServerVariant<Request>,
    toResponse: (response: ServerResponse) => Response,
  ) {
    this.#client = new ClientSession(testNode(), KINDS.map(textType), make, this.#clock, (update) =>
      this.#look(update),
    );
    this.#variant = variant;
    this.#toResponse = toResponse;
    this.#server = this.#newServer();
    this.#client.openStream();
  }

  play(step: Move): void {
    switch (step.move) {
      case "change": {
        if (step.text === undefined) delete this.#world[step.kind][step.name];
        else this.#world[step.kind][step.name] = step.text;
        this.#snapshot = mortalSnapshot(textSnapshot(this.#world));
        break;
      }
      case "want": {
        this.#client.subscribe(step.kind, new Set(step.names));
        this.#want(step.kind, step.names);
        break;
      }
      case "adjust": {
        const { kind, name, wanted } = step;
        this.#client.adjust(kind, wanted ? [name] : [], wanted ? [] : [name]);
        const others = (this.#wanted.get(kind) ?? []).filter((other) => other !== name);
        this.#want(kind, wanted ? [...others, name] : others);
        break;
      }
      case "to-server":
        this.#toServer();
        break;
      case "to-client":
        this.#toClient();
        break;
      case "break":
        this.#break();
        break;
      case "wait":
        this.#clock.advance(step.ms);
        break;
    }
    this.#up.push(...this.#client.takeRequests());
  }

  /** Delivers everything until nobody has anything to say but heartbeats, for as long as anybody may wait. */
  settle(): void {
    for (let quiet = 0, rounds = 0; quiet < 4; rounds += 1) {
      assert.ok(rounds < 500, "they never come to rest");
      const before = this.#news;
      for (let messages = 0; this.#toServer() || this.#toClient(); messages += 1) {
        assert.ok(messages < 500, "they never cease to talk");
        this.#up.push(...this.#client.takeRequests());
      }
      quiet = this.#news === before ? quiet + 1 : 0;
      this.#clock.advance(REST_MS);
      this.#up.push(...this.#client.takeRequests());
    }
  }

  check(exact: boolean): void {
    const held = new Map(
      this.#client
        .statuses()
        .filter(({ version }) => version !== "")
        .map((status) => [`${status.kind}/${status.name}`, status.state]),
    );
    assert.deepEqual([...held.keys()].sort(), [...this.#view.keys()].sort(), "updates tell the whole story");
    for (const kind of KINDS) {
      const names = this.#wanted.get(kind) ?? [];
      // Under state of the world, nobody is told when endpoints or routes are gone.
      const tells = exact || traitsOf(typeUrlOfKind(kind)).complete;
      for (const name of NAMES) {
        const key = `${kind}/${name}`;
        const text = this.#world[kind][name];
        const isWanted = names.includes("*") || names.includes(name);
        if (!isWanted || (text === undefined && tells)) assert.equal(this.#view.get(key), undefined, key);
        else if (text !== undefined && !text.startsWith("bad")) assert.equal(this.#view.get(key), text, key);
        else if (text?.startsWith("bad")) assert.ok(held.get(key) === undefined || held.get(key) === "NACKED", key);
      }
    }
    this.#client.close();
    assert.equal(this.#clock.pending, 0);
  }

  #newServer(): ServerSession<Request> {
    const server = new ServerSession(this.#variant);
    server.withTtl = true;
    return server;
  }

  #want(kind: ResourceKind, names: readonly string[]): void {
    for (const key of this.#view.keys()) {
      const [ofKind, name = ""] = key.split("/");
      if (ofKind === kind && !names.includes("*") && !names.includes(name)) this.#view.delete(key);
    }
    this.#wanted.set(kind, names);
  }

  #toServer(): boolean {
    const request = this.#up.shift();
    if (request !== undefined) this.#server.take(request);
    return request !== undefined;
  }

  #toClient(): boolean {
    // Each time one is delivered the server may write one more.
    const step = this.#server.next(this.#snapshot, this.#clock.now());
    if (step.step === "send") {
      this.#down.push(this.#toResponse(step.response));
      if (step.response.resources.length + step.response.removed.length > 0) this.#news += 1;
    }
    const response = this.#down.shift();
    if (response === undefined) return false;
    const outcome = this.#client.receive(response);
    if (outcome !== undefined) this.#look(outcome.update);
    if (outcome?.missed === true) this.#break();
    return true;
  }

  #look(update: ResourceUpdate): void {
    for (const [name, { config }] of update.changed)
      this.#view.set(`${update.kind}/${name}`, (config as TextConfig).text);
    for (const name of update.removed)
      assert.ok(this.#view.delete(`${update.kind}/${name}`), "only what is held is removed");
  }

  #break(): void {
    this.#up = [];
    this.#down = [];
    this.#server = this.#newServer();
    this.#client.closeStream();
    this.#client.openStream();
  }
}

function toSotw({ typeUrl, version, nonce, resources, bodiless = [] }: ServerResponse): DiscoveryResponse {
  const envelope = (resource: BodilessResource, body: AnyMessage | undefined): AnyMessage => {
    if (body !== undefined && resource.ttlMs === undefined) return body;
    const value = encodeWrappedResource({ ...resource, aliases: [], resource: body });
    return { typeUrl: WRAPPED_RESOURCE_TYPE_URL, value };
  };
  const anys = [
    ...resources.map((resource) => envelope(resource, { typeUrl, value: resource.bytes })),
    ...bodiless.map((one) => envelope(one, undefined)),
  ];
  return { typeUrl, versionInfo: version, nonce, resources: anys, controlPlaneIdentifier: "" };
}

function toDelta(response: ServerResponse): DeltaDiscoveryResponse {
  const { typeUrl, version, nonce, resources, removed, bodiless = [] } = response;
  return {
    typeUrl,
    systemVersionInfo: version,
    nonce,
    resources: [
      ...resources.map(({ name, version: own, bytes, ttlMs }) => {
        return { name, aliases: [], version: own, resource: { typeUrl, value: bytes }, ttlMs };
      }),
      ...bodiless.map((one) => ({ ...one, aliases: [], resource: undefined })),
    ],
    removedResources: removed,
    controlPlaneIdentifier: "",
  };
}

/** The same, with a time to live where a text says so. */
function mortalSnapshot({ resources }: Snapshot): Snapshot {
  const types = [...resources].map(([typeUrl, byName]) => {
    const list = [...byName].map(([name, resource]) => {
      const isMortal = Buffer.from(resource.bytes).includes("mortal");
      return [name, isMortal ? { ...resource, ttlMs: TTL_MS } : resource] as const;
    });
    return [typeUrl, new Map(list)] as const;
  });
  return { resources: new Map(types) };
}
