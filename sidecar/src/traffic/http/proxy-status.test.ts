import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "@heddle/base";
import { ResponseFlag } from "@heddle/filter";
import { HeaderMap, ResponseHead } from "@heddle/http";
import { defaultManners, type ProxyStatusOptions } from "@heddle/traffic";
import { addProxyStatus } from "./proxy-status.ts";
import { Harness } from "./testing-harness.ts";

const OPTIONS: ProxyStatusOptions = {
  proxyName: "gate",
  removeDetails: false,
  removeResponseFlags: false,
  setRecommendedResponseCode: false,
};

function status(flags: number, options: Partial<ProxyStatusOptions> = {}, fields: string[] = []) {
  const head = new ResponseHead(503, new HeaderMap(fields));
  const source = { responseFlags: flags, responseCodeDetails: 'a "detail"' };
  addProxyStatus(head, source, { ...OPTIONS, ...options });
  return { status: head.status, text: head.headers.joined("proxy-status") };
}

test("tells the error, the details and the flags, of which the parts can be left out", () => {
  const flags = ResponseFlag.UpstreamConnectionFailure | ResponseFlag.UpstreamRetryLimitExceeded;
  assert.equal(status(flags).text, 'gate; error=connection_refused; details="a \\"detail\\"; UF,URX"');
  assert.equal(
    status(flags, { removeResponseFlags: true }).text,
    'gate; error=connection_refused; details="a \\"detail\\""',
  );
  assert.equal(status(flags, { removeDetails: true }).text, "gate; error=connection_refused");
});

test("says nothing of an exchange without an error", () => {
  assert.equal(status(0).text, undefined);
  assert.equal(status(ResponseFlag.DelayInjected).text, undefined);
});

test("stands behind what proxies before us have said", () => {
  const before = ["proxy-status", "inner; error=dns_error"];
  assert.equal(
    status(ResponseFlag.NoRouteFound, { removeDetails: true }, before).text,
    "inner; error=dns_error, gate; error=destination_not_found",
  );
});

test("writes a name that is no token as a string", () => {
  assert.match(status(ResponseFlag.NoRouteFound, { proxyName: "a b" }).text ?? "", /^"a b"; error=/);
});

test("sets the status that is recommended, where that is wished", () => {
  const of = (flag: number): number => status(flag, { setRecommendedResponseCode: true }).status;
  assert.equal(of(ResponseFlag.UpstreamConnectionFailure), 502);
  assert.equal(of(ResponseFlag.UpstreamRequestTimeout), 504);
  assert.equal(of(ResponseFlag.NoRouteFound), 500);
  assert.equal(of(ResponseFlag.DownstreamProtocolError), 503, "none is");
});

test("is added by a connection manager that is told to, to errors alone", () => {
  const proxyStatus = { ...OPTIONS, setRecommendedResponseCode: true };
  const harness = new Harness({ manager: { manners: { ...defaultManners, proxyStatus } } });
  const client = harness.connect();
  const ask = (): string => {
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    harness.run();
    return client.take();
  };
  harness.dialFailures.push(failure("connect-refused", "upstream", "ECONNREFUSED", "safe"));
  assert.match(ask(), /^HTTP\/1\.1 502 (?:.*\r\n)*proxy-status: gate; error=connection_refused; details=".*; UF"\r\n/);
  ask();
  harness.upstream().send("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n");
  harness.run();
  assert.doesNotMatch(client.take(), /proxy-status/);
  client.destroy();
  assert.equal(harness.leaks(), "");
});
