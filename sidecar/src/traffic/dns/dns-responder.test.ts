import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock, TimerWheel } from "@heddle/base";
import type { DatagramEvents } from "@heddle/net";
import type { DnsClientConfig, DnsDomain } from "@heddle/traffic";
import { type DecodedPacket, decode, encode, type Packet, type Question, RECURSION_DESIRED } from "dns-packet";
import { MemoryMetrics } from "../http/testing-telemetry.ts";
import type { DnsEnv } from "./dns-env.ts";
import { DnsResponder } from "./dns-responder.ts";

/** A socket to a name server as a script. */
interface Asked {
  readonly server: string;
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly events: DatagramEvents;
  closed: boolean;
  /** Answers under the id that was asked, or another. */
  answer(packet?: Packet & { readonly rcode?: number }): void;
}

const CLIENT: DnsClientConfig = {
  resolverTimeoutMs: 2000,
  retries: 0,
  maxPendingLookups: 2,
  servers: [],
  serversAsFallback: false,
  useTcp: false,
};

class World {
  readonly clock = new ManualClock();
  readonly metrics = new MemoryMetrics();
  readonly asked: Asked[] = [];
  resolvConf = "nameserver 10.0.0.10\n";
  nextId = 100;
  readonly responder: DnsResponder;

  constructor(domains: readonly DnsDomain[], client: DnsClientConfig | null = CLIENT) {
    const env: DnsEnv = {
      clock: this.clock,
      wheel: new TimerWheel(this.clock),
      metrics: this.metrics,
      randomId: () => this.nextId++,
      readResolvConf: () => this.resolvConf,
      openDatagrams: ({ address, port }, events) => this.#open(`${address}:${port}`, events),
      dial: () => assert.fail("nothing is asked by TCP here"),
      endpointsOf: (cluster) =>
        cluster === "pods"
          ? [
              { type: "socket", address: "10.1.0.1", port: 80 },
              { type: "socket", address: "10.1.0.2", port: 80 },
            ]
          : undefined,
    };
    this.responder = new DnsResponder(
      { statPrefix: "t", domains, client: client ?? undefined },
      [{ address: "127.0.0.1", port: 53 }],
      env,
    );
  }

  /** The answers so far to a question. */
  ask(question: Partial<Question>, rest: Packet = {}): DecodedPacket[] {
    const answers: DecodedPacket[] = [];
    const questions: Question[] = [{ type: "A", name: "", ...question }];
    const message = encode({ type: "query", id: 1, flags: RECURSION_DESIRED, questions, ...rest });
    this.responder.answer(message, "udp", (answer) => answers.push(decode(Buffer.from(answer))));
    return answers;
  }

  /** The datagrams of the n-th attempt. */
  attempt(n: number): Asked {
    const attempt = this.asked[n];
    assert.ok(attempt !== undefined, `there was no attempt ${n}`);
    return attempt;
  }

  assertNothingLeft(): void {
    this.clock.advance(60_000);
    assert.equal(this.responder.pending, 0);
    assert.equal(this.clock.pending, 0, "timers are left");
    assert.ok(
      this.asked.every(({ closed }) => closed),
      "sockets are left",
    );
  }

  #open(server: string, events: DatagramEvents): ReturnType<DnsEnv["openDatagrams"]> {
    let asked: Asked | undefined;
    return {
      send: (bytes) => {
        const { id = 0, questions } = decode(Buffer.from(bytes));
        asked = {
          server,
          id,
          bytes,
          events,
          closed: false,
          answer: ({ rcode = 0, ...packet } = {}) => {
            const answer = encode({ type: "response", id, questions: questions ?? [], flags: rcode, ...packet });
            events.onDatagram(answer, "", 0);
          },
        };
        this.asked.push(asked);
        return true;
      },
      close: () => {
        if (asked !== undefined) asked.closed = true;
      },
    };
  }
}

const domain = (name: string, ...addresses: string[]): DnsDomain => ({ name, answerTtlS: 30, addresses });
const data = (answers: readonly DecodedPacket[]): unknown =>
  answers.map((one) => [
    rcodeOf(one),
    ...(one.answers ?? []).map((record) => ("data" in record ? record.data : undefined)),
  ]);
const rcodeOf = (packet: DecodedPacket): unknown => (packet as DecodedPacket & { readonly rcode: string }).rcode;

describe("a name of the table", () => {
  const world = new World([
    domain("orders.shop", "10.0.0.1"),
    domain("both", "10.0.0.2", "fd00::2"),
    domain("many", "10.0.0.1", "10.0.0.2", "10.0.0.3"),
    domain("*.wild.example", "10.9.9.9"),
    domain("*.deep.wild.example", "10.8.8.8"),
    domain("own.wild.example", "10.7.7.7"),
    { name: "pods", answerTtlS: 30, cluster: "pods" },
    {
      name: "svc.example",
      answerTtlS: 30,
      services: [
        {
          name: "web",
          protocol: "tcp",
          ttlS: 5,
          targets: [
            { hostName: "a.example", priority: 1, weight: 2, port: 80 },
            { cluster: "pods", priority: 0, weight: 0, port: 0 },
          ],
        },
      ],
    },
  ]);

  for (const [what, question, expected] of [
    ["is answered with its address, whatever its case", { name: "OrDers.SHOP" }, ["NOERROR", "10.0.0.1"]],
    ["has nothing of the other family, and is there", { name: "orders.shop", type: "AAAA" }, ["NOERROR"]],
    ["has nothing of other types", { name: "orders.shop", type: "TXT" }, ["NOERROR"]],
    ["has both families where it has", { name: "both", type: "AAAA" }, ["NOERROR", "fd00::2"]],
    ["is one below a wildcard, however deep", { name: "a.b.wild.example" }, ["NOERROR", "10.9.9.9"]],
    ["is one of the longest wildcard", { name: "a.deep.wild.example" }, ["NOERROR", "10.8.8.8"]],
    ["is itself rather than a wildcard's", { name: "own.wild.example" }, ["NOERROR", "10.7.7.7"]],
    [
      "is a service with its targets",
      { name: "_web._tcp.svc.example", type: "SRV" },
      [
        "NOERROR",
        { priority: 1, weight: 2, port: 80, target: "a.example" },
        { priority: 0, weight: 0, port: 80, target: "pods" },
      ],
    ],
  ] as const) {
    test(what, () => assert.deepEqual(data(world.ask(question as Partial<Question>)), [expected]));
  }

  test("is answered with the addresses of a cluster", () => {
    assert.deepEqual((data(world.ask({ name: "pods" })) as [string, ...string[]][])[0]?.sort(), [
      "10.1.0.1",
      "10.1.0.2",
      "NOERROR",
    ]);
  });

  test("is left to name servers where its cluster is not there, and is there without an address where nobody is asked", () => {
    const table = [{ name: "gone", answerTtlS: 30, cluster: "absent" }];
    const asking = new World(table);
    asking.ask({ name: "gone" });
    assert.equal(asking.asked.length, 1);
    assert.deepEqual(data(new World(table, null).ask({ name: "gone" })), [["NOERROR"]]);
  });

  test("begins its answers with another address each time", () => {
    const firsts = [0, 1, 2, 3].map(() => (data(world.ask({ name: "many" })) as string[][])[0]?.[1]);
    assert.equal(new Set(firsts).size, 3);
  });

  test("asks nobody", () => {
    assert.deepEqual(world.asked, []);
    assert.equal(world.metrics.values.get("dns_filter.downstream_rx_queries"), 13);
  });
});

describe("a name to which a resolver has appended its search list", () => {
  const search = "nameserver 10.0.0.10\nsearch web.svc.cluster.local svc.cluster.local\noptions ndots:5\n";
  const table = [
    domain("orders.shop", "10.0.0.1"),
    domain("orders.shop.svc.cluster.local", "10.0.0.1"),
    domain("orders", "10.0.0.2"),
    domain("*.wild.example", "10.0.0.3"),
  ];
  const asked = (name: string, world = new World(table)): unknown => {
    world.resolvConf = search;
    const answers = world.ask({ name });
    world.responder.close();
    return world.asked.length > 0 ? "asked" : data(answers);
  };

  test("is answered at once where the name before it is one of the table, whatever its case", () => {
    assert.deepEqual(asked("orders.shop.Web.svc.cluster.local"), [["NOERROR", "10.0.0.1"]]);
    assert.deepEqual(asked("orders.shop.svc.cluster.local.web.svc.cluster.local"), [["NOERROR", "10.0.0.1"]]);
  });

  test("is asked of name servers where it is not, is one label, a wildcard's, or has another list's end", () => {
    assert.equal(asked("api.example.com.web.svc.cluster.local"), "asked");
    assert.equal(asked("orders.web.svc.cluster.local"), "asked");
    assert.equal(asked("a.wild.example.web.svc.cluster.local"), "asked");
    assert.equal(asked("orders.shop.cluster.local"), "asked");
  });

  test("is asked of the servers that the configuration names, which may be for others than this machine", () => {
    const servers = [{ address: "10.0.0.99", port: 53 }];
    assert.equal(asked("orders.shop.web.svc.cluster.local", new World(table, { ...CLIENT, servers })), "asked");
  });
});

describe("another name", () => {
  test("does not exist where nobody may be asked", () => {
    const world = new World([], null);
    assert.deepEqual(data(world.ask({ name: "a.example" })), [["NXDOMAIN"]]);
  });

  test("is asked of resolv.conf's server as it came, under an id of our own, and answered under the client's", () => {
    const world = new World([]);
    const edns: Packet = {
      additionals: [
        {
          type: "OPT",
          name: ".",
          udpPayloadSize: 4096,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0x8000,
          flag_do: true,
          options: [],
        },
      ],
    };
    const answers = world.ask({ name: "A.Example", type: "TXT" }, edns);
    const { server, id, bytes, answer } = world.attempt(0);
    assert.deepEqual([server, id], ["10.0.0.10:53", 100]);
    const sent = decode(Buffer.from(bytes));
    assert.equal(sent.questions?.[0]?.name, "A.Example");
    assert.ok(sent.additionals?.[0]?.type === "OPT" && sent.additionals[0].flag_do);
    answer({ answers: [{ type: "A", name: "A.Example", data: "192.0.2.1" }] });
    assert.deepEqual([answers[0]?.id, ...(data(answers) as unknown[])], [1, ["NOERROR", "192.0.2.1"]]);
    world.assertNothingLeft();
  });

  test("is not answered by a datagram with another id or question", () => {
    const world = new World([]);
    const answers = world.ask({ name: "a.example" });
    const { answer, id } = world.attempt(0);
    answer({ id: id + 1 });
    answer({ questions: [{ type: "A", name: "b.example" }] });
    assert.deepEqual(answers, []);
    answer();
    assert.deepEqual(data(answers), [["NOERROR"]]);
  });

  test("is asked of the next server when one does not answer, refuses the datagram or fails; who answered is asked first", () => {
    const world = new World([]);
    world.resolvConf = "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
    const answers = world.ask({ name: "a.example" });
    world.clock.advance(2100);
    world.attempt(1).events.onError("ECONNREFUSED");
    world.attempt(2).answer({ rcode: 2 });
    assert.deepEqual(
      world.asked.map(({ server }) => server),
      ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"],
    );
    assert.deepEqual(answers, [], "the first may still answer");
    world.attempt(0).answer();
    assert.deepEqual(data(answers), [["NOERROR"]]);
    world.ask({ name: "b.example" });
    world.clock.advance(2100);
    world.attempt(4).answer();
    world.ask({ name: "c.example" });
    assert.equal(world.attempt(5).server, "10.0.0.2:53");
    world.responder.close();
    world.assertNothingLeft();
  });

  test("gets the failure of the servers where none does better, and SERVFAIL where none says anything", () => {
    const world = new World([]);
    world.resolvConf = "nameserver 10.0.0.1\nnameserver 10.0.0.2\n";
    const refused = world.ask({ name: "a.example" });
    world.attempt(0).answer({ rcode: 5 });
    world.attempt(1).answer({ rcode: 5 });
    assert.deepEqual(data(refused), [["REFUSED"]]);
    const silent = world.ask({ name: "a.example" });
    world.clock.advance(4200);
    assert.deepEqual(data(silent), [["SERVFAIL"]]);
    world.assertNothingLeft();
  });

  test("is answered SERVFAIL at once where too many wait, or where only this filter itself could be asked", () => {
    const world = new World([]);
    world.ask({ name: "a.example" });
    world.ask({ name: "b.example" });
    assert.deepEqual(data(world.ask({ name: "c.example" })), [["SERVFAIL"]]);
    const own = new World([]);
    own.resolvConf = "nameserver 127.0.0.1";
    assert.deepEqual(data(own.ask({ name: "c.example" })), [["SERVFAIL"]]);
    world.responder.close();
  });

  test("is asked of the servers that resolv.conf has a while after it changed", () => {
    const world = new World([]);
    world.ask({ name: "a.example" });
    world.resolvConf = "nameserver 10.0.0.99";
    world.clock.advance(5100);
    world.ask({ name: "b.example" });
    assert.equal(world.asked.at(-1)?.server, "10.0.0.99:53");
    world.responder.close();
  });
});

test("whoever waits until nothing is under way hears when the last answer has gone", async () => {
  const world = new World([]);
  world.ask({ name: "a.example" });
  const empty = world.responder.untilEmpty();
  world.attempt(0).answer();
  await empty;
  await world.responder.untilEmpty();
});
