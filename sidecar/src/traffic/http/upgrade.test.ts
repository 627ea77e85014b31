import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "@heddle/base";
import { defineFilter, type HttpFilter } from "@heddle/filter";
import type { HttpConnectionManagerConfig, HttpFilterConfig } from "@heddle/traffic";
import { routerType } from "../filter/router-type.ts";
import { Harness, type HarnessOptions, type MemoryConnection, routeTo } from "./testing-harness.ts";

const ASK = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const AGREED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const WEBSOCKET = [{ upgradeType: "websocket", enabled: true }];

function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

/** A tunnel that stands. */
function withTunnel(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  withHarness({ ...options, manager: { upgradeConfigs: WEBSOCKET, ...options.manager } }, (harness, client) => {
    client.send(ASK);
    harness.run();
    assert.match(harness.upstream().take(), /^GET \/chat HTTP\/1\.1\r\n.*upgrade: websocket\r\n/s);
    harness.upstream().send(AGREED);
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 101 /);
    body(harness, client);
  });
}

test("an upgrade to WebSocket that the upstream does not answer ends with the route's timeout, and one that is open does not", () => {
  const options = { manager: { upgradeConfigs: WEBSOCKET }, routes: routeTo("app", { timeoutMs: 1000 }) };
  withHarness(options, (harness, client) => {
    client.send(ASK);
    harness.run();
    harness.advance(1001);
    assert.match(client.take(), /^HTTP\/1\.1 504 /);
    assert.equal(harness.logged[0]?.responseCodeDetails, "response_timeout");
  });
  // As in Envoy, whose timeout is for WebSocket alone.
  const other = { ...options, manager: { upgradeConfigs: [{ upgradeType: "other", enabled: true }] } };
  withHarness(other, (harness, client) => {
    client.send(ASK.replace("websocket", "other"));
    harness.run();
    harness.advance(1001);
    assert.equal(client.take(), "");
    client.sendEnd();
    harness.run();
    harness.upstream().sendEnd();
    harness.run();
    client.take();
  });
  withTunnel(options, (harness, client) => {
    harness.advance(2000);
    client.send("ping");
    harness.run();
    assert.equal(harness.upstream().take(), "ping");
    assert.equal(client.take(), "");
    harness.upstream().sendEnd();
    client.sendEnd();
    harness.run();
  });
});

describe("who may upgrade", () => {
  const outcome = (manager: HttpConnectionManagerConfig["upgradeConfigs"], route: typeof WEBSOCKET): string => {
    let details = "";
    const options = { manager: { upgradeConfigs: manager }, routes: routeTo("app", { upgradeConfigs: route }) };
    withHarness(options, (harness, client) => {
      client.send(ASK);
      harness.run();
      details = harness.upstreams.length > 0 ? "forwarded" : (harness.logged[0]?.responseCodeDetails ?? "");
      if (details !== "forwarded") assert.match(client.take(), /^HTTP\/1\.1 403 /);
    });
    return details;
  };
  const off = [{ upgradeType: "websocket", enabled: false }];

  test("is said by the listener, and by the route where that says anything", () => {
    assert.equal(outcome([], []), "upgrade_failed");
    assert.equal(outcome(WEBSOCKET, []), "forwarded");
    assert.equal(outcome(off, []), "upgrade_failed");
    assert.equal(outcome(off, WEBSOCKET), "forwarded");
    assert.equal(outcome([], WEBSOCKET), "forwarded");
    assert.equal(outcome(WEBSOCKET, off), "upgrade_failed");
    assert.equal(outcome([{ upgradeType: "other", enabled: true }], []), "upgrade_failed");
  });

  test("is asked for each type as it is written by anybody: names have no case", () => {
    withHarness({ manager: { upgradeConfigs: WEBSOCKET } }, (harness, client) => {
      client.send(ASK.replace("websocket", "WebSocket"));
      harness.run();
      assert.match(harness.upstream().take(), /\r\nupgrade: websocket\r\n/);
    });
  });
});

describe("a tunnel", () => {
  test("carries bytes both ways, those too that came with the heads", () => {
    withHarness({ manager: { upgradeConfigs: WEBSOCKET } }, (harness, client) => {
      client.send(`${ASK}early`);
      harness.run();
      assert.doesNotMatch(harness.upstream().take(), /early/, "before the upstream agrees they could be a request");
      harness.upstream().send(`${AGREED}hello`);
      harness.run();
      assert.match(client.take(), /\r\n\r\nhello$/);
      assert.equal(harness.upstream().take(), "early");
      client.send("ping");
      harness.upstream().send("pong");
      harness.run();
      assert.deepEqual([client.take(), harness.upstream().take()], ["pong", "ping"]);
    });
  });

  test("passes each half-close on, and ends when both halves have ended", () => {
    for (const first of ["client", "upstream"] as const) {
      withTunnel({}, (harness, client) => {
        const upstream = harness.upstream();
        const [one, other] = first === "client" ? [client, upstream] : [upstream, client];
        one.send("last words");
        one.sendEnd();
        harness.run();
        assert.equal(other.take(), "last words");
        assert.deepEqual([other.ended, one.ended], [true, false]);
        other.send("still heard");
        harness.run();
        assert.equal(one.take(), "still heard");
        other.sendEnd();
        harness.run();
        assert.equal(one.ended, true);
        assert.equal(harness.logged.length, 1);
        assert.equal(harness.logged[0]?.response?.status, 101);
      });
    }
  });

  test("has no timeout of the route, and ends when nothing has moved for the stream's idle timeout", () => {
    const options = { manager: { streamIdleTimeoutMs: 20_000 }, routes: routeTo("app", { timeoutMs: 1000 }) };
    withTunnel(options, (harness, client) => {
      harness.advance(19_000);
      harness.upstream().send("x");
      harness.advance(19_000);
      client.send("x");
      harness.advance(19_980);
      assert.deepEqual([client.closed, harness.upstream().closed], [false, false]);
      harness.advance(40);
      assert.deepEqual([client.closed, harness.upstream().closed], [true, true]);
      assert.equal(harness.value("http.downstream_rq_idle_timeout"), 1);
      assert.equal(harness.logged[0]?.responseCodeDetails, "stream_idle_timeout");
    });
  });

  test("ends on one side when the other breaks", () => {
    withTunnel({}, (harness, client) => {
      client.break();
      harness.run();
      assert.equal(harness.upstream().closed, true);
    });
    withTunnel({}, (harness, client) => {
      harness.upstream().break();
      harness.run();
      assert.equal(client.closed, true);
    });
  });

  test("is counted while it lasts", () => {
    withTunnel({}, (harness, client) => {
      assert.equal(harness.value("http.downstream_cx_upgrades_total"), 1);
      assert.equal(harness.value("http.downstream_cx_upgrades_active"), 1);
      client.break();
      harness.run();
      assert.equal(harness.value("http.downstream_cx_upgrades_active"), 0);
    });
  });

  test("lets a slow peer stop the other", () => {
    withTunnel({}, (harness, client) => {
      client.highWatermarkBytes = 10;
      client.stall(true);
      harness.upstream().send("more than ten bytes");
      harness.run();
      harness.upstream().send("and more");
      harness.run();
      assert.equal(harness.upstream().paused, true);
      client.stall(false);
      harness.run();
      assert.equal(client.take(), "more than ten bytesand more");
    });
  });
});

describe("an upgrade that the upstream does not take", () => {
  test("is answered as it answers, and the client's connection goes on", () => {
    withHarness({ manager: { upgradeConfigs: WEBSOCKET } }, (harness, client) => {
      client.send(ASK);
      harness.run();
      harness.upstream().send("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 400 .*no$/s);
      assert.equal(harness.value("http.downstream_cx_upgrades_active"), 0);
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      harness.run();
      assert.match(harness.upstreams.map((upstream) => upstream.take()).join(""), /GET \/ HTTP/);
    });
  });

  test("200 is no agreement: what the client sends behind it is a request", () => {
    withHarness({ manager: { upgradeConfigs: WEBSOCKET } }, (harness, client) => {
      client.send(`${ASK}GET /second HTTP/1.1\r\nhost: a\r\n\r\n`);
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      harness.run();
      const sent = harness.upstreams.map((upstream) => upstream.take()).join("");
      assert.equal(sent.match(/HTTP\/1\.1\r\n/g)?.length, 2);
      assert.match(sent, /GET \/second HTTP\/1\.1\r\nhost: a\r\n/);
      assert.equal(harness.logged[0]?.response?.status, 200);
    });
  });
});

describe("an upgrade with filters of its own", () => {
  const marking = (mark: string): HttpFilter => ({
    requestHead: (exchange) => {
      exchange.request.headers.append("x-passed", mark);
      return "continue";
    },
  });
  const module = (mark: string) =>
    defineFilter({ parse: () => ok(undefined), create: () => ({ create: () => marking(mark) }) });
  const use = (name: string): HttpFilterConfig => ({
    name,
    config:
      name === "router"
        ? { name, type: routerType.configType, config: { suppressEnvoyHeaders: true } }
        : { name, type: `test.${name}`, config: {} },
    disabled: false,
  });
  const options: HarnessOptions = {
    filters: { usual: module("usual"), special: module("special") },
    manager: {
      httpFilters: [use("usual"), use("router")],
      upgradeConfigs: [{ upgradeType: "websocket", enabled: true, filters: [use("special"), use("router")] }],
    },
  };

  test("passes those, and every other request the usual ones", () => {
    withHarness(options, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      harness.run();
      assert.match(harness.upstream().take(), /\r\nx-passed: usual\r\n/);
      const other = harness.connect();
      other.send(ASK);
      harness.run();
      const sent = harness.upstream(1).take();
      assert.match(sent, /\r\nx-passed: special\r\n/);
      assert.doesNotMatch(sent, /usual/);
    });
  });
});
