import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AccessLogOptions } from "@heddle/traffic";
import { Harness, type HarnessOptions, type MemoryConnection } from "./testing-harness.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const NONE: AccessLogOptions = { onNewRequest: false, onTunnel: false, everyMs: 0 };

/** What is logged, and when: the types of the lines. */
function logged(
  accessLogOptions: AccessLogOptions | undefined,
  play: (harness: Harness, client: MemoryConnection) => void,
  more: HarnessOptions["manager"] = {},
): readonly string[] {
  const harness = new Harness({ manager: { accessLogOptions, ...more } });
  play(harness, harness.connect());
  assert.equal(harness.leaks(), "");
  return harness.logTypes;
}

function oneExchange(harness: Harness, client: MemoryConnection): void {
  client.send(GET);
  harness.advance(2500);
  harness.upstream().send(OK);
  harness.advance(5000);
}

describe("the access log", () => {
  test("has one line an exchange, at its end", () => {
    assert.deepEqual(logged(undefined, oneExchange), ["DownstreamEnd"]);
  });

  test("has one at the beginning as well where it is asked for", () => {
    assert.deepEqual(logged({ ...NONE, onNewRequest: true }, oneExchange), ["DownstreamStart", "DownstreamEnd"]);
  });

  test("has one for each interval that an exchange lasts, and none behind its end", () => {
    const types = logged({ ...NONE, everyMs: 1000 }, oneExchange);
    assert.deepEqual(types, ["DownstreamPeriodic", "DownstreamPeriodic", "DownstreamEnd"]);
  });

  test("has one when a tunnel opens", () => {
    const upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    const play = (harness: Harness, client: MemoryConnection): void => {
      client.send(upgrade);
      harness.run();
      harness.upstream().send("HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      harness.run();
      assert.deepEqual(harness.logTypes, ["DownstreamTunnelSuccessfullyEstablished"]);
      client.sendEnd();
      harness.upstream().sendEnd();
      harness.run();
    };
    const upgradeConfigs = [{ upgradeType: "websocket", enabled: true }];
    const types = logged({ ...NONE, onTunnel: true }, play, { upgradeConfigs });
    assert.deepEqual(types, ["DownstreamTunnelSuccessfullyEstablished", "DownstreamEnd"]);
  });
});
