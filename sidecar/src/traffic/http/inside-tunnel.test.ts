import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Harness, type HarnessOptions, type MemoryConnection, managerConfig } from "./testing-harness.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ESTABLISHED = /^HTTP\/1\.1 200 OK\r\ndate: .*\r\n\r\n$/;

const SERVED: HarnessOptions = {
  manager: {
    upgradeConfigs: [
      {
        upgradeType: "connect",
        enabled: true,
        filters: [
          {
            name: "tunnel",
            config: { name: "tunnel", type: "heddle.filters.http.v1.ServeTunnel", config: {} },
            disabled: false,
          },
        ],
      },
    ],
  },
};

function withTunnel(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness({ ...options, manager: { ...SERVED.manager, ...options.manager } });
  const client = harness.connect();
  client.send("CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\n\r\n");
  harness.run();
  assert.match(client.take(), ESTABLISHED);
  body(harness, client);
  end(harness, client);
}

/** The inner connection hears of its end a moment after the outer one. */
function end(harness: Harness, client: MemoryConnection): void {
  client.destroy();
  harness.advance(10);
  assert.equal(harness.leaks(), "");
}

describe("a tunnel that ends at the proxy", () => {
  test("carries one request after another, which are routed as any", () => {
    withTunnel({}, (harness, client) => {
      for (const path of ["/1", "/2"]) {
        client.send(`GET ${path} HTTP/1.1\r\nhost: app\r\n\r\n`);
        harness.run();
        assert.match(harness.upstream().take(), new RegExp(`^GET ${path} HTTP/1\\.1\r\nhost: app\r\n`));
        harness.upstream().send(OK);
        harness.run();
        assert.match(client.take(), /^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)+\r\nok$/);
      }
      assert.equal(harness.upstreams.length, 1, "the pool is the one of all");
      client.sendEnd();
      harness.run();
      assert.deepEqual(
        harness.logged.map(({ request, response, responseCodeDetails }) => [
          request.method,
          response?.status,
          responseCodeDetails,
        ]),
        [
          ["GET", 200, "via_upstream"],
          ["GET", 200, "via_upstream"],
          ["CONNECT", 200, "tunnel_served"],
        ],
      );
    });
  });

  test("takes a request that was sent together with the CONNECT", () => {
    const harness = new Harness(SERVED);
    const client = harness.connect();
    client.send("CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\n\r\nGET / HTTP/1.1\r\nhost: app\r\n\r\n");
    harness.run();
    assert.match(client.take(), ESTABLISHED);
    harness.upstream().send(OK);
    harness.run();
    assert.match(client.take(), /ok$/);
    end(harness, client);
  });

  test("does not lead into another one", () => {
    withTunnel({}, (harness, client) => {
      client.send("CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\n\r\n");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 403 /);
      assert.equal(harness.logged.at(-1)?.responseCodeDetails, "tunnel_in_tunnel");
    });
  });

  test("is refused, inside, what is refused outside, and ends with it", () => {
    withTunnel({}, (harness, client) => {
      client.send("GET / HTTP/1.1\r\n\r\n");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 400 /);
      assert.equal(client.ended, true);
    });
  });

  test("that holds TLS is told 400 in the clear", () => {
    withTunnel({}, (harness, client) => {
      client.send(Buffer.from("16030100050100000100", "hex"));
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 400 /);
    });
  });

  test("stops the upstream while the client does not read", () => {
    withTunnel({}, (harness, client) => {
      client.highWatermarkBytes = 10;
      client.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
      harness.run();
      client.stall(true);
      harness.upstream().send(`HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n${"x".repeat(20)}`);
      harness.run();
      assert.equal(harness.upstream().paused, true);
      harness.upstream().send("y".repeat(20));
      client.stall(false);
      harness.run();
      assert.equal(harness.upstream().paused, false);
      assert.match(client.take(), /x{20}y{20}$/);
    });
  });

  test("stops the client while the upstream does not take its body", () => {
    withTunnel({}, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 60\r\n\r\n");
      harness.run();
      harness.upstream().highWatermarkBytes = 10;
      harness.upstream().stall(true);
      client.send("x".repeat(30));
      harness.run();
      client.send("y".repeat(30));
      harness.run();
      assert.equal(client.paused, true);
      harness.upstream().stall(false);
      harness.run();
      assert.equal(client.paused, false);
      assert.match(harness.upstream().take(), /x{30}y{30}$/);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /ok$/);
    });
  });

  test("breaks when an answer in it breaks off", () => {
    withTunnel({}, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\nhalf");
      harness.run();
      harness.upstream().break();
      harness.run();
      assert.match(client.take(), /half$/);
      assert.equal(client.closed, true);
    });
  });

  test("ends the exchange in it when the client goes", () => {
    withTunnel({}, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
      harness.run();
      client.break();
      harness.advance(10);
      assert.equal(harness.upstream().closed, true);
      assert.deepEqual(harness.logged.map(({ request }) => request.method).sort(), ["CONNECT", "GET"]);
    });
  });

  test("ends at once when the connection drains and nothing runs in it", () => {
    withTunnel({}, (harness, client) => {
      const [connection] = harness.clients;
      assert.equal(connection, client);
      (client as ReturnType<Harness["connect"]>).http.drain();
      harness.run();
      assert.equal(client.ended, true);
    });
  });

  test("is for CONNECT alone: what asks for none is not found", () => {
    const chain = SERVED.manager?.upgradeConfigs?.[0];
    assert.ok(chain);
    const harness = new Harness({ manager: { upgradeConfigs: [{ ...chain, upgradeType: "websocket" }] } });
    const client = harness.connect();
    client.send("GET / HTTP/1.1\r\nhost: app\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 404 /);
    assert.equal(harness.leaks(), "");
  });

  test("shows the requests in it the connection's client, and not the one that the CONNECT names", () => {
    const harness = new Harness(SERVED);
    const client = harness.connect();
    client.send("CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\nx-forwarded-for: 6.6.6.6\r\n\r\n");
    client.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    harness.run();
    harness.upstream().send(OK);
    harness.run();
    assert.equal(harness.logged[0]?.downstream.remoteAddress, client.remoteAddress);
    end(harness, client);
  });

  test("is refused where no configuration allows it", () => {
    const harness = new Harness({ manager: { upgradeConfigs: managerConfig.upgradeConfigs } });
    const client = harness.connect();
    client.send("CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\n\r\n");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 403 /);
    assert.equal(harness.leaks(), "");
  });
});
