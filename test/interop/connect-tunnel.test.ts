import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { bytesOf } from "../harness/echo-server.ts";
import { eventually } from "../harness/eventually.ts";
import { http2Session } from "../harness/http-asker.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";

const BYTES = 3_000_000;

/** The last sidecar ends the tunnel at a TCP server (`connect_config`); one before it sends CONNECT on over HTTP/2. */
describe("CONNECT through sidecars", () => {
  const suite = lastFirst({ after });
  const open = new Set<Socket>();
  let chain: SidecarChain;

  before(async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      socket.on("error", () => {});
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    suite.after(() => {
      server.close();
      for (const socket of open) socket.destroy();
    });
    chain = await startChain(suite, {
      tunnel: {
        port: (server.address() as AddressInfo).port,
        speaks: "h1",
        match: { connect_matcher: {} },
        http: { http2_protocol_options: { allow_connect: true } },
        http2: { allow_connect: true },
        route: { upgrade_configs: [{ upgrade_type: "CONNECT" }] },
        backRoute: { upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] },
      },
    });
  });

  for (const sidecars of [1, 2] as const) {
    for (const speaks of ["h1", "h2"] as const) {
      const name = `${speaks} client, ${sidecars} of them`;
      const tunnel = (owner: Owner): Promise<Duplex> => {
        const port = sidecars === 1 ? chain.backPort("tunnel") : chain.frontPort("tunnel");
        return speaks === "h1" ? http1Tunnel(port, owner) : http2Tunnel(port, owner);
      };

      test(`${name}: bytes in both directions, and each half ends on its own`, async (t) => {
        const stream = await tunnel(t);
        const sent = randomBytes(BYTES);
        stream.end(sent);
        assert.ok((await bytesOf(stream)).equals(sent));
        await eventually("the server's connection is gone", () => open.size === 0);
      });

      test(`${name}: a tunnel that breaks off is gone at the other end`, async (t) => {
        const stream = await tunnel(t);
        stream.write("begun");
        await once(stream, "data");
        assert.equal(open.size, 1);
        stream.destroy();
        await eventually("the server's connection is gone", () => open.size === 0);

        const other = await tunnel(t);
        other.on("error", () => {}); // "close" follows
        other.write("begun");
        await once(other, "data");
        const ended = new Promise((resolve) => other.once("close", resolve));
        for (const socket of open) socket.resetAndDestroy();
        other.resume();
        await ended;
      });
    }
  }
});

async function http1Tunnel(port: number, owner: Owner): Promise<Duplex> {
  const asked = request({ host: "127.0.0.1", port, method: "CONNECT", path: "db.test:5432", agent: false });
  asked.end();
  const [response, socket] = (await once(asked, "connect")) as [{ statusCode: number }, Socket];
  owner.after(() => void socket.destroy());
  assert.equal(response.statusCode, 200);
  return socket;
}

async function http2Tunnel(port: number, owner: Owner): Promise<Duplex> {
  const session = await http2Session(port, owner);
  const stream = session.request({ ":method": "CONNECT", ":authority": "db.test:5432" }, { endStream: false });
  const [headers] = (await once(stream, "response")) as [Readonly<Record<string, unknown>>];
  assert.equal(headers[":status"], 200);
  return stream;
}
