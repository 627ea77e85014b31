import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultManners } from "@heddle/traffic";
import { clusterConfig, Harness, type HarnessOptions, routeEntry, routesOf } from "./testing-harness.ts";

/** A request's and its response's head as they leave, through the whole pipeline. */
function pass(options: HarnessOptions): { readonly request: string; readonly response: string } {
  const harness = new Harness(options);
  const client = harness.connect();
  client.send("GET / HTTP/1.1\r\nHOST: a\r\nx-ID: 1\r\nX-Request-ID: r\r\n\r\n");
  harness.run();
  const request = harness.upstream().take();
  harness.upstream().send("HTTP/1.1 200 OK\r\nX-answer: 1\r\nContent-LENGTH: 0\r\n\r\n");
  harness.run();
  const response = client.take();
  assert.equal(harness.leaks(), "");
  return { request, response };
}

describe("names of fields", () => {
  test("are lower case by default", () => {
    const { request, response } = pass({});
    assert.match(request, /\r\nhost: a\r\nx-id: 1\r\nx-request-id: r\r\n/);
    assert.match(response, /\r\nx-answer: 1\r\ncontent-length: 0\r\n/);
  });

  test("keep the client's spelling where the listener preserves it, and the upstream's where the cluster does", () => {
    const manager = { manners: { ...defaultManners, headerNames: "preserve-case" as const } };
    const clusters = [clusterConfig("app", { headerNames: "preserve-or-proper-case" })];
    const { request, response } = pass({ manager, clusters });
    assert.match(request, /\r\nHOST: a\r\nx-ID: 1\r\nX-Request-ID: r\r\nx-forwarded-proto: http\r\n/);
    assert.match(response, /\r\nX-answer: 1\r\nContent-LENGTH: 0\r\n.*Date: /s);
  });

  test("are proper towards the side that wants them so", () => {
    const manager = { manners: { ...defaultManners, headerNames: "proper-case" as const } };
    const { request, response } = pass({ manager });
    assert.match(request, /\r\nhost: a\r\nx-id: 1\r\n/);
    assert.match(response, /\r\nX-Answer: 1\r\nContent-Length: 0\r\n/);
    const clusters = [clusterConfig("app", { headerNames: "proper-case" })];
    assert.match(pass({ clusters }).request, /\r\nHost: a\r\nX-Id: 1\r\nX-Request-Id: r\r\n/);
  });
});

describe("answers that are made here", () => {
  /** What comes back for that request. */
  function answer(request: string, options: HarnessOptions = {}): string {
    const harness = new Harness({ manager: { serverHeaderTransformation: "OVERWRITE", serverName: "me" }, ...options });
    const client = harness.connect();
    client.send(request);
    harness.run();
    const text = client.take();
    assert.equal(harness.leaks(), "");
    return text;
  }

  test("have date and server, also where the codec gives them by itself", () => {
    const fields = /\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n(?:.*\r\n)*/;
    for (const request of [
      "GET / HTTP/1.1\r\n\r\n", // no host
      "NONSENSE\r\n\r\n",
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(70_000)}\r\n\r\n`,
      "GET / HTTP/2.3\r\nhost: a\r\n\r\n",
      "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
    ]) {
      const text = answer(request);
      assert.match(text, /^HTTP\/1\.1 (?:400|431|505|403) /);
      assert.match(text, fields);
      assert.match(text, /\r\nserver: me\r\n/);
    }
    assert.doesNotMatch(answer("GET\r\n\r\n", { manager: { serverHeaderTransformation: "PASS_THROUGH" } }), /server/);
  });

  const direct = (status: number, body: string): HarnessOptions => ({
    routes: routesOf([routeEntry({ action: { type: "direct-response", status, body } })]),
  });

  test("have no body where there is none by their status, and no length of it", () => {
    for (const status of [204, 304]) {
      const text = answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n", direct(status, "must not be sent"));
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} .*\r\n\r\n$`, "s"));
      assert.doesNotMatch(text, /content-length|transfer-encoding|must not/);
    }
  });

  test("tell HEAD the length of the body that GET would get", () => {
    const text = answer("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", direct(200, "hello"));
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)*content-length: 5\r\n(?:.*\r\n)*\r\n$/);
  });
});
