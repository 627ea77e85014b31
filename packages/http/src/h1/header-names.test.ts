import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { ScriptedClient } from "../testing/scripted-client.ts";
import { ScriptedServer } from "../testing/scripted-server.ts";
import { type HeaderNameFormat, properCase } from "./header-names.ts";

const REQUEST = "GET / HTTP/1.1\r\nHOST: a\r\nx-ID: 1\r\nX_Odd-name: 2\r\ncontent-LENGTH: 0\r\n\r\n";

/** A request as it leaves a client connection, with `x-added` put to what a server connection had received. */
function forwarded(received: HeaderNameFormat | undefined, sent: HeaderNameFormat | undefined): string {
  const server = new ScriptedServer(received === undefined ? {} : { headerNames: received });
  server.receive(REQUEST);
  const { head } = server.last;
  assert.ok(head);
  assert.equal(head.headers.get("x-id"), "1", "names are lower case for everybody else");
  head.headers.append("x-added", "3");
  const client = new ScriptedClient(sent === undefined ? {} : { headerNames: sent });
  const { method, scheme, authority, path, headers } = head;
  client.start().encoder.sendHead(new RequestHead(method, scheme, authority, path, headers.clone()), true);
  return client.transport.take();
}

test("a name gets a capital behind everything that is no letter and no digit", () => {
  assert.equal(properCase("content-type"), "Content-Type");
  assert.equal(properCase("foo$b#$are"), "Foo$B#$Are");
  assert.equal(properCase("te"), "Te");
  assert.equal(properCase("x-b3-traceid"), "X-B3-Traceid");
});

describe("a request that passes", () => {
  test("has names in lower case unless somebody wishes otherwise", () => {
    assert.match(forwarded(undefined, undefined), /\r\nhost: a\r\nx-id: 1\r\nx_odd-name: 2\r\n.*x-added: 3\r\n/s);
  });

  test("has proper names where the connection towards the upstream writes them", () => {
    assert.match(forwarded(undefined, "proper-case"), /\r\nHost: a\r\nX-Id: 1\r\nX_Odd-Name: 2\r\n.*X-Added: 3\r\n/s);
  });

  test("keeps the names that it came with, whatever the connection towards the upstream does", () => {
    for (const sent of [undefined, "proper-case", "preserve-case"] as const) {
      assert.match(
        forwarded("preserve-case", sent),
        /\r\nHOST: a\r\nx-ID: 1\r\nX_Odd-name: 2\r\ncontent-LENGTH: 0\r\nx-added: 3\r\n/,
      );
    }
    assert.match(forwarded("preserve-or-proper-case", undefined), /\r\nx-ID: 1\r\n.*X-Added: 3\r\n/s);
  });

  test("keeps its names also where the same fields are known from connections that do not", () => {
    const request = "GET / HTTP/1.1\r\nHost: a\r\nX-ID: 1\r\n\r\n";
    const plain = new ScriptedServer();
    for (let i = 0; i < 3; i++) {
      plain.receive(request);
      plain.answer();
    }
    const server = new ScriptedServer({ headerNames: "preserve-case" });
    for (let i = 0; i < 3; i++) {
      server.receive(request);
      assert.equal(server.last.head?.headers.naming?.("x-id"), "X-ID");
      server.answer();
    }
  });

  test("does not take its names from the request before it on the connection", () => {
    const server = new ScriptedServer({ headerNames: "preserve-case" });
    server.receive("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n");
    const first = server.last.head?.headers.naming;
    server.answer();
    server.receive("GET / HTTP/1.1\r\nHost: a\r\nx-A: 1\r\n\r\n");
    assert.equal(server.last.head?.headers.naming?.("x-a"), "x-A");
    assert.equal(first?.("x-a"), "X-A");
  });
});

describe("a response", () => {
  test("is written with proper names, those of the codec as well", () => {
    const server = new ScriptedServer({ headerNames: "proper-case" });
    server.receive("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    server.answer(200, "", { "content-type": "text/plain", etag: "a: b" });
    assert.equal(
      server.transport.take(),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nEtag: a: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
  });

  test("keeps the names of the upstream's where those are preserved", () => {
    const client = new ScriptedClient({ headerNames: "preserve-case" });
    const { encoder, response } = client.start();
    encoder.sendHead(new RequestHead("GET", "http", "a", "/", new HeaderMap()), true);
    client.receive("HTTP/1.1 200 OK\r\nX-ID: 1\r\nContent-LENGTH: 0\r\n\r\n");
    const server = new ScriptedServer();
    server.receive("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert.ok(response.head);
    server.last.encoder.sendHead(response.head, true);
    assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\nX-ID: 1\r\nContent-LENGTH: 0\r\n\r\n");
  });
});

test("the answer to what cannot be read has the fields that it shall have", () => {
  const server = new ScriptedServer({ headerNames: "proper-case", refusalFields: () => "date: now\r\nserver: s\r\n" });
  server.receive("GET\r\n\r\n");
  assert.equal(
    server.transport.take(),
    "HTTP/1.1 400 Bad Request\r\nDate: now\r\nServer: s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
});
