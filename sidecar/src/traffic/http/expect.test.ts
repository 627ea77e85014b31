import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Harness, type HarnessOptions, type MemoryConnection } from "./testing-harness.ts";

/* `Expect: 100-continue` (RFC 9110 §10.1.1) in all orders, answered here or by the upstream (`proxy_100_continue`). */

const POST = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const PROXIED: HarnessOptions = { manager: { proxy100Continue: true } };

function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

describe("a client that waits for 100", () => {
  test("gets it from us, at once; the upstream hears nothing of it", () => {
    withHarness({}, (harness, client) => {
      harness.holdDials = true;
      client.send(POST);
      harness.run();
      assert.equal(client.take(), CONTINUE, "also while there is no connection to the upstream");
      client.send("body");
      harness.holdDials = false;
      harness.run();
      assert.match(harness.upstream().take(), /^POST \/ HTTP\/1\.1\r\n(?!.*expect).*\r\n\r\nbody$/s);
      harness.upstream().send(CONTINUE + OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /, "the upstream's own 100 is not passed on as well");
      assert.equal(client.ended, false);
    });
  });

  test("gets it whatever the case of the word, and for a body of unknown length", () => {
    withHarness({}, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\nExpect: 100-Continue\r\ntransfer-encoding: chunked\r\n\r\n");
      harness.run();
      assert.equal(client.take(), CONTINUE);
    });
  });

  test("gets no 100 where there is no body to wait for", () => {
    for (const options of [{}, PROXIED]) {
      withHarness(options, (harness, client) => {
        client.send("GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n");
        harness.run();
        assert.equal(client.take(), "");
        assert.doesNotMatch(harness.upstream().take(), /expect/);
        harness.upstream().send(OK);
        harness.run();
        assert.match(client.take(), /^HTTP\/1\.1 200 /);
      });
    }
  });

  test("and does not wait after all: its body is taken", () => {
    for (const options of [{}, PROXIED]) {
      withHarness(options, (harness, client) => {
        client.send(`${POST}body`);
        harness.run();
        assert.match(harness.upstream().take(), /body$/);
        harness.upstream().send(OK);
        harness.run();
        assert.match(client.take(), /HTTP\/1\.1 200 .*ok$/s);
        assert.equal(client.ended, false, "the request was whole, so the connection goes on");
      });
    }
  });

  test("with HTTP/1.0 does not count: no 100, and the upstream is not asked", () => {
    for (const options of [{}, PROXIED]) {
      withHarness(options, (harness, client) => {
        client.send("POST / HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody");
        harness.run();
        assert.doesNotMatch(harness.upstream().take(), /expect/);
        harness.upstream().send(CONTINUE + OK);
        harness.run();
        assert.match(client.take(), /^HTTP\/1\.1 200 /);
      });
    }
  });
});

describe("where the upstream is asked", () => {
  test("its 100 is passed on, then the body, then the answer", () => {
    withHarness(PROXIED, (harness, client) => {
      client.send(POST);
      harness.run();
      assert.equal(client.take(), "");
      assert.match(harness.upstream().take(), /\r\nexpect: 100-continue\r\n/);
      harness.upstream().send(CONTINUE);
      harness.run();
      assert.equal(client.take(), CONTINUE);
      client.send("body");
      harness.run();
      assert.equal(harness.upstream().take(), "body");
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.deepEqual([client.ended, harness.upstream().closed], [false, false]);
    });
  });

  test("a final answer instead of 100 ends both connections: the body may come or not", () => {
    withHarness(PROXIED, (harness, client) => {
      client.send(POST);
      harness.run();
      harness.upstream().send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 413 .*connection: close/s);
      assert.deepEqual([client.ended, harness.upstream().closed], [true, true]);
      client.send("bodyGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
      harness.run();
      assert.equal(harness.upstreams.length, 1, "what comes then is nobody's request");
    });
  });

  test("an upstream that says nothing until it has the body: the client that stops waiting is served", () => {
    withHarness(PROXIED, (harness, client) => {
      client.send(POST);
      harness.advance(1000);
      assert.equal(client.take(), "");
      client.send("body");
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("an upstream that breaks instead: our answer closes as well", () => {
    withHarness(PROXIED, (harness, client) => {
      client.send(POST);
      harness.run();
      harness.upstream().break();
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 .*connection: close/s);
      assert.equal(client.ended, true);
    });
  });
});

test("any other expectation is refused, and its body not taken for a request", () => {
  withHarness({}, (harness, client) => {
    client.send(POST.replace("100-continue", "a miracle"));
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 417 .*connection: close/s);
    assert.equal(client.ended, true);
    assert.equal(harness.upstreams.length, 0);
  });
});
