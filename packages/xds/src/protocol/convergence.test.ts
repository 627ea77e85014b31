import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import fc from "fast-check";
import type { ResourceKind } from "../resource/resource-type.ts";
import type { Snapshot } from "../snapshot.ts";
import type { ResourceUpdate } from "../subscription.ts";
import { type TextConfig, testNode, textSnapshot, textType } from "../testing.ts";
import { deltaClient } from "./client-delta.ts";
import { ClientSession } from "./client-session.ts";
import { sotwClient } from "./client-sotw.ts";
import type { MakeClientType } from "./client-type.ts";
import { deltaServer, type ServerResponse, ServerSession, type ServerVariant, sotwServer } from "./server-session.ts";
import { traitsOf, typeUrlOfKind } from "./type-urls.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from "./wire.ts";

/*
 * Whatever order snapshots change in, subscriptions change in, messages arrive in and streams break in: when everything has
 * come to rest, the client holds exactly what the snapshot has of what it wants. Texts that begin with "bad" are refused by
 * the client, which then keeps what it had.
 */

const KINDS: readonly ResourceKind[] = ["cluster", "endpoints", "listener", "route-configuration"];
const NAMES = ["a", "b", "c"];

type Move =
  | { readonly move: "change"; readonly kind: ResourceKind; readonly name: string; readonly text: string | undefined }
  | { readonly move: "want"; readonly kind: ResourceKind; readonly names: readonly string[] }
  | { readonly move: "to-server" | "to-client" | "break" }
  | { readonly move: "wait"; readonly ms: number };

const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      move: fc.constant("change" as const),
      kind: fc.constantFrom(...KINDS),
      name: fc.constantFrom(...NAMES),
      text: fc.constantFrom("1", "2", "3", "bad", undefined),
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
  { weight: 6, arbitrary: fc.record({ move: fc.constant("to-server" as const) }) },
  { weight: 6, arbitrary: fc.record({ move: fc.constant("to-client" as const) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant("break" as const) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant("wait" as const), ms: fc.constantFrom(100, 6000, 16_000) }) },
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
      { seed: 20261121, numRuns: 3000 },
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
    this.#client = new ClientSession(testNode(), KINDS.map(textType), make, this.#clock, () => undefined);
    this.#variant = variant;
    this.#toResponse = toResponse;
    this.#server = new ServerSession(variant);
    this.#client.openStream();
  }

  play(step: Move): void {
    switch (step.move) {
      case "change": {
        if (step.text === undefined) delete this.#world[step.kind][step.name];
        else this.#world[step.kind][step.name] = step.text;
        this.#snapshot = textSnapshot(this.#world);
        break;
      }
      case "want": {
        this.#client.subscribe(step.kind, new Set(step.names));
        for (const key of this.#view.keys()) {
          const [kind, name] = key.split("/") as [string, string];
          if (kind === step.kind && !step.names.includes("*") && !step.names.includes(name)) this.#view.delete(key);
        }
        this.#wanted.set(step.kind, step.names);
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

  /** Delivers everything until nobody has anything to say, for as long as anybody may wait. */
  settle(): void {
    for (let quiet = 0, rounds = 0; quiet < 2; rounds += 1) {
      assert.ok(rounds < 500, "they never come to rest");
      const moved = this.#toServer() || this.#toClient();
      this.#up.push(...this.#client.takeRequests());
      if (moved) quiet = 0;
      else {
        quiet += 1;
        this.#clock.advance(6000);
      }
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
    this.#client.closeStream();
    assert.equal(this.#clock.pending, 0);
  }

  #toServer(): boolean {
    const request = this.#up.shift();
    if (request !== undefined) this.#server.take(request);
    return request !== undefined;
  }

  #toClient(): boolean {
    // Each time one is delivered the server may write one more.
    const step = this.#server.next(this.#snapshot, this.#clock.now());
    if (step.step === "send") this.#down.push(this.#toResponse(step.response));
    const response = this.#down.shift();
    if (response === undefined) return false;
    const outcome = this.#client.receive(response);
    if (outcome !== undefined) this.#look(outcome.update);
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
    this.#server = new ServerSession(this.#variant);
    this.#client.closeStream();
    this.#client.openStream();
  }
}

function toSotw({ typeUrl, version, nonce, resources }: ServerResponse): DiscoveryResponse {
  const anys = resources.map(({ bytes }) => ({ typeUrl, value: bytes }));
  return { typeUrl, versionInfo: version, nonce, resources: anys, controlPlaneIdentifier: "" };
}

function toDelta({ typeUrl, version, nonce, resources, removed }: ServerResponse): DeltaDiscoveryResponse {
  return {
    typeUrl,
    systemVersionInfo: version,
    nonce,
    resources: resources.map(({ name, version: own, bytes }) => ({
      name,
      aliases: [],
      version: own,
      resource: { typeUrl, value: bytes },
    })),
    removedResources: removed,
    controlPlaneIdentifier: "",
  };
}
