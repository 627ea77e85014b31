import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { createServer, connect as netConnect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { type DecodedPacket, decode, encode, type Packet, streamEncode } from "dns-packet";
import { cluster, staticBootstrap } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/** A name server that knows `outside.example`, by UDP and TCP on one port; an answer of many records is cut by UDP. */
async function nameServer(owner: Owner): Promise<{ readonly port: number; readonly questions: DecodedPacket[] }> {
  const questions: DecodedPacket[] = [];
  const answerTo = (bytes: Buffer): Packet => {
    const query = decode(bytes);
    questions.push(query);
    const name = query.questions?.[0]?.name ?? "";
    const common: Packet = { type: "response", id: query.id ?? 0, questions: query.questions ?? [] };
    const data = name.startsWith("large.")
      ? Array.from({ length: 200 }, (_, i) => `198.51.100.${i}`)
      : name.toLowerCase().endsWith("outside.example")
        ? ["192.0.2.7"]
        : undefined;
    if (data === undefined) return { ...common, flags: NXDOMAIN };
    return { ...common, answers: data.map((one) => ({ type: "A" as const, name, ttl: 9, data: one })) };
  };
  const tcp = createServer((socket) => {
    socket.on("data", (bytes) => void socket.write(streamEncode(answerTo(bytes.subarray(2)))));
    socket.on("error", () => undefined);
  }).listen(0, "127.0.0.1");
  owner.after(() => void tcp.close());
  await once(tcp, "listening");
  const { port } = tcp.address() as { readonly port: number };
  const udp = createSocket("udp4", (bytes, { port: from, address }) => {
    const answer = answerTo(bytes);
    const whole = encode(answer);
    const fits = whole.length <= 512;
    udp.send(fits ? whole : encode({ ...answer, answers: [], flags: TRUNCATED }), from, address);
  }).bind(port, "127.0.0.1");
  owner.after(() => void udp.close());
  await once(udp, "listening");
  return { port, questions };
}

const NXDOMAIN = 3;
const TRUNCATED = 0x200;

const virtualDomains = [
  { name: "orders.shop", endpoint: { address_list: { address: ["10.96.0.1", "fd00::1"] } }, answer_ttl: "30s" },
  { name: "*.wild.example", endpoint: { address_list: { address: ["10.96.0.2"] } } },
  { name: "pods.shop", endpoint: { cluster_name: "pods" } },
  { name: "many.shop", endpoint: { address_list: { address: Array.from({ length: 60 }, (_, i) => `10.97.0.${i}`) } } },
];

for (const concurrency of [1, 3]) {
  describe(`DNS of a sidecar of ${concurrency}`, () => {
    const suite = lastFirst({ after });
    let sidecar: SidecarProcess;
    let upstream: { readonly port: number; readonly questions: DecodedPacket[] };
    let resolver: Resolver;
    let udpPort: number;
    let tcpPort: number;

    before(async () => {
      upstream = await nameServer(suite);
      const listeners = [
        {
          name: "dns",
          address: { socket_address: { protocol: "UDP", address: "127.0.0.1", port_value: 0 } },
          listener_filters: [
            {
              name: "envoy.filters.udp.dns_filter",
              typed_config: {
                "@type": "type.googleapis.com/envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig",
                stat_prefix: "mesh",
                server_config: { inline_dns_table: { virtual_domains: virtualDomains } },
                client_config: {
                  resolver_timeout: "2s",
                  max_pending_lookups: 256,
                  typed_dns_resolver_config: {
                    name: "envoy.network.dns_resolver.cares",
                    typed_config: {
                      "@type":
                        "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                      resolvers: [{ socket_address: { address: "127.0.0.1", port_value: upstream.port } }],
                    },
                  },
                },
              },
            },
          ],
        },
        {
          name: "dns-tcp",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [
            {
              filters: [
                {
                  name: "heddle.filters.network.dns",
                  typed_config: { "@type": "type.googleapis.com/heddle.filters.network.v1.Dns", udp_listener: "dns" },
                },
              ],
            },
          ],
        },
      ];
      sidecar = await startSidecar(staticBootstrap(listeners, [cluster("pods", [1])]), suite, { concurrency });
      udpPort = await sidecar.port("dns");
      tcpPort = await sidecar.port("dns-tcp");
      resolver = new Resolver({ timeout: 5000, tries: 1 });
      resolver.setServers([`127.0.0.1:${udpPort}`]);
    });

    /** One question by TCP, or many written at once. */
    async function byTcp(names: readonly string[]): Promise<DecodedPacket[]> {
      const socket: Socket = netConnect(tcpPort, "127.0.0.1");
      socket.write(
        Buffer.concat(
          names.map((name, i) =>
            streamEncode({ type: "query", id: i + 1, flags: 256, questions: [{ type: "A", name }] }),
          ),
        ),
      );
      const answers: DecodedPacket[] = [];
      let held = Buffer.alloc(0);
      for await (const bytes of socket as AsyncIterable<Buffer>) {
        held = Buffer.concat([held, bytes]);
        while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
          answers.push(decode(held.subarray(2)));
          held = held.subarray(2 + held.readUInt16BE(0));
        }
        if (answers.length === names.length) break;
      }
      socket.destroy();
      return answers;
    }

    const addressesOf = (packet: DecodedPacket | undefined): unknown[] =>
      (packet?.answers ?? []).map((one) => ("data" in one ? one.data : undefined));

    test("names of the table are answered to c-ares, of both families", async () => {
      assert.deepEqual(await resolver.resolve4("Orders.Shop", { ttl: true }), [{ address: "10.96.0.1", ttl: 30 }]);
      assert.deepEqual(await resolver.resolve6("orders.shop"), ["fd00::1"]);
      assert.deepEqual(await resolver.resolve4("a.b.wild.example"), ["10.96.0.2"]);
      assert.deepEqual(await resolver.resolve4("pods.shop"), ["127.0.0.1"]);
      await assert.rejects(resolver.resolve6("a.wild.example"), { code: "ENODATA" });
    });

    test("other names are those of the name server, its errors too", async () => {
      assert.deepEqual(await resolver.resolve4("www.outside.example"), ["192.0.2.7"]);
      await assert.rejects(resolver.resolve4("nobody.example"), { code: "ENOTFOUND" });
    });

    test("an answer that is too long for UDP comes by TCP", async () => {
      const socket = createSocket("udp4");
      suite.after(() => void socket.close());
      socket.send(
        encode({ type: "query", id: 9, flags: 256, questions: [{ type: "A", name: "many.shop" }] }),
        udpPort,
        "127.0.0.1",
      );
      const [bytes] = (await once(socket, "message")) as [Buffer];
      assert.ok(bytes.length <= 512);
      assert.equal(decode(bytes).flag_tc, true);
      assert.equal(addressesOf((await byTcp(["many.shop"]))[0]).length, 60);
      assert.equal(addressesOf((await byTcp(["large.outside.example"]))[0]).length, 200);
    });

    test("many questions of one connection are answered each by its id", async () => {
      const names = Array.from({ length: 80 }, (_, i) => (i % 2 === 0 ? "orders.shop" : `n${i}.outside.example`));
      const answers = await byTcp(names);
      assert.equal(answers.length, 80);
      for (const answer of answers) {
        const even = ((answer.id ?? 0) - 1) % 2 === 0;
        assert.deepEqual(addressesOf(answer), [even ? "10.96.0.1" : "192.0.2.7"]);
      }
    });

    test("nonsense is counted, and nothing else happens", async () => {
      const socket = createSocket("udp4");
      suite.after(() => void socket.close());
      for (const bytes of ["", "00", "0001", "0001010000010000000000", "000101000001000000000000c00c00010001"])
        socket.send(Buffer.from(bytes, "hex"), udpPort, "127.0.0.1");
      await eventually("four of them are counted", async () => {
        return (await sidecar.stat("dns_filter.mesh.downstream_rx_invalid_queries")) >= 4;
      });
      assert.deepEqual(await resolver.resolve4("orders.shop"), ["10.96.0.1"]);
    });

    test("everything is counted as Envoy does", async () => {
      assert.ok((await sidecar.stat("dns_filter.mesh.known_domain_queries")) >= 40);
      assert.ok((await sidecar.stat("dns_filter.mesh.external_a_record_answers")) >= 40);
      assert.ok(upstream.questions.length >= 40);
    });
  });
}
