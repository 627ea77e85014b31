import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  cluster,
  inlineRoutes,
  type Json,
  listener,
  tcpListener,
  tcpProxy,
  udpListener,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/*
 * Original destination as far as it needs no rules of the kernel: by a header, and by PROXY protocol, whose address counts as one
 * that was put back. Redirected connections are in test/system.
 */

const PROXY_PROTOCOL: Json = {
  name: "pp",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    allow_requests_without_proxy_protocol: true,
  },
};
const originalDst = (name: string, more: Json = {}): Json => ({
  name,
  type: "ORIGINAL_DST",
  lb_policy: "CLUSTER_PROVIDED",
  ...more,
});
const to = (cluster: string, prefix: string): Json => ({ match: { prefix }, route: { cluster } });
describe("original destination without rules of the kernel", () => {
  const owner = lastFirst({ after });
  let sidecar: SidecarProcess;
  let httpPort: number;
  let greetingPort: number;

  before(async () => {
    const web = createHttpServer((request, response) => response.end(`for ${request.socket.remoteAddress}`));
    const greeter = createServer((socket) => socket.on("error", () => undefined).end("hello"));
    for (const server of [web, greeter]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      owner.after(() => server.close());
    }
    httpPort = (web.address() as AddressInfo).port;
    greetingPort = (greeter.address() as AddressInfo).port;
    const teller = createSocket("udp4", (_, { address, port }) => teller.send(address, port, address));
    teller.bind(0, "127.0.0.1");
    await once(teller, "listening");
    owner.after(() => teller.close());
    const datagramPort = teller.address().port;
    const byHeader = { original_dst_lb_config: { use_http_header: true } };
    const source_address = { address: "127.0.0.2", port_value: 0 };
    const routes = inlineRoutes([
      { name: "v", domains: ["*"], routes: [to("from", "/from"), to("plain", "/plain"), to("header", "/")] },
    ]);
    const static_resources = {
      listeners: [
        listener({ name: "http", routes }),
        tcpListener("tcp", tcpProxy({ cluster: "plain" }), { listener_filters: [PROXY_PROTOCOL] }),
        udpListener("udp", { cluster: "datagrams" }),
        { ...tcpListener("unbound", tcpProxy({ cluster: "plain" })), bind_to_port: false },
      ],
      clusters: [
        originalDst("plain"),
        originalDst("header", byHeader),
        { ...cluster("datagrams", [datagramPort]), upstream_bind_config: { source_address } },
        originalDst("from", { ...byHeader, upstream_bind_config: { source_address } }),
      ],
    };
    sidecar = await startSidecar({ static_resources }, owner);
  });

  async function ask(path: string, destination?: string): Promise<string> {
    const headers = destination === undefined ? {} : { "x-envoy-original-dst-host": destination };
    const response = await fetch(`http://127.0.0.1:${await sidecar.port("http")}${path}`, { headers });
    return `${response.status} ${await response.text()}`;
  }

  test("a header names the endpoint, and connections come from where they are bound", async () => {
    assert.equal(await ask("/", `127.0.0.1:${httpPort}`), "200 for 127.0.0.1");
    assert.equal(await ask("/from", `127.0.0.1:${httpPort}`), "200 for 127.0.0.2");
  });

  test("without one there is no endpoint, and neither with what is none or goes round", async () => {
    assert.equal(await ask("/"), "503 no healthy upstream");
    assert.equal(await ask("/plain", `127.0.0.1:${httpPort}`), "503 no healthy upstream");
    const before = await sidecar.stat("cluster.header.original_dst_host_invalid");
    assert.equal(await ask("/", "localhost:80"), "503 no healthy upstream");
    assert.equal(await ask("/", `127.0.0.1:${await sidecar.port("http")}`), "503 no healthy upstream");
    assert.equal(await sidecar.stat("cluster.header.original_dst_host_invalid"), before + 2);
  });

  /** What comes on a connection that another proxy says was meant for that address. */
  async function meantFor(address: string, port: number): Promise<string> {
    const socket = connect(await sidecar.port("tcp"), "127.0.0.1");
    socket.write(`PROXY TCP4 192.0.2.1 ${address} 40000 ${port}\r\n`);
    let came = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      came += text;
    });
    await once(socket, "close");
    return came;
  }

  test("a connection goes where another proxy says that it was meant to go", async () => {
    assert.equal(await meantFor("127.0.0.1", greetingPort), "hello");
    assert.equal(await meantFor("127.0.0.5", await sidecar.port("tcp")), "");
    assert.equal(await sidecar.stat("cluster.plain.original_dst_host_invalid"), 1);
  });

  test("datagrams come from where they are bound, too", async (t) => {
    const client = createSocket("udp4");
    t.after(() => client.close());
    // A datagram may be lost, so it is sent until it is answered.
    let answer = "";
    client.on("message", (bytes) => {
      answer = String(bytes);
    });
    const port = await sidecar.port("udp");
    await eventually("it is answered", () => {
      client.send("who", port, "127.0.0.1");
      return answer !== "";
    });
    assert.equal(answer, "127.0.0.2");
  });

  test("a listener without a port is listed by its address, and nobody listens there", async () => {
    assert.equal(await sidecar.port("unbound"), 0);
    assert.match(await sidecar.page("/ready"), /LIVE/);
  });
});
