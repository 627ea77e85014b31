import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import { parseClientHello } from "./client-hello.ts";

const MOST = 16 * 1024;

/** What a client of Node's begins with. */
async function realHello(options: object): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: "127.0.0.1", ...options }).on("error", () => undefined);
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

type Part = number | string | Uint8Array;

function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === "number" ? Buffer.from([part]) : typeof part === "string" ? Buffer.from(part, "latin1") : part,
    ),
  );
}

function list(width: number, ...parts: readonly Part[]): Buffer {
  const content = bytes(...parts);
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}

function extension(type: number, ...content: readonly Part[]): Buffer {
  return bytes(type >> 8, type & 0xff, list(2, ...content));
}

function hello(
  extensions: Buffer | undefined,
  { sessionId = "", suites = "\x13\x01", compressions = "\0" } = {},
): Buffer {
  const body = [3, 3, Buffer.alloc(32), list(1, sessionId), list(2, suites), list(1, compressions)];
  return bytes(1, list(3, ...body, ...(extensions === undefined ? [] : [list(2, extensions)])));
}

/** In records of at most so many bytes. */
function records(message: Buffer, most = 16_384): Buffer {
  const found: Buffer[] = [];
  for (let at = 0; at < message.length; at += most)
    found.push(bytes(22, 3, 1, list(2, message.subarray(at, at + most))));
  return Buffer.concat(found);
}

const name = (host: string): Buffer => extension(0, list(2, 0, list(2, host)));
const alpn = (...names: readonly string[]): Buffer => extension(16, list(2, ...names.map((one) => list(1, one))));

test("what a real client asks for is found, however its bytes come", async () => {
  const whole = await realHello({ servername: "Shop.Example", ALPNProtocols: ["h2", "http/1.1"] });
  const expected = { type: "hello", serverName: "shop.example", applicationProtocols: ["h2", "http/1.1"] };
  assert.deepEqual(parseClientHello(whole, MOST), expected);
  for (let length = 0; length < whole.length; length++) {
    assert.deepEqual(parseClientHello(whole.subarray(0, length), MOST), { type: "more" }, String(length));
  }
  const message = whole.subarray(5);
  for (const most of [5, 7, 100, message.length - 1].filter((size) => message.length / size <= 64)) {
    assert.deepEqual(parseClientHello(records(message, most), MOST), expected);
  }
  assert.deepEqual(parseClientHello(Buffer.concat([whole, Buffer.from("more of it")]), MOST), expected);
});

test("a client may ask for nothing", async () => {
  const nothing = { type: "hello", serverName: "", applicationProtocols: [] };
  assert.deepEqual(parseClientHello(await realHello({}), MOST), nothing);
  assert.deepEqual(parseClientHello(records(hello(undefined)), MOST), nothing);
  assert.deepEqual(parseClientHello(records(hello(Buffer.alloc(0))), MOST), nothing);
});

test("what does not begin as TLS is known by its first bytes", () => {
  for (const text of [
    "G",
    "GET / HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n",
    "\x80\x2e\x01\x03\x01",
    "\x16\x02",
    "\x15\x03\x01\x00\x02",
  ]) {
    assert.deepEqual(parseClientHello(Buffer.from(text, "latin1"), MOST), { type: "none" }, text);
  }
  assert.deepEqual(parseClientHello(bytes(22, 3, 1, 0, 0), MOST), { type: "none" });
  assert.deepEqual(parseClientHello(bytes(22, 3, 1, 0, 4, 2), MOST), { type: "none" }); // a ServerHello
});

test("what breaks the rules is bad, and is not taken for a client without a name", () => {
  const good = name("a.example");
  for (const [why, message] of [
    ["two server names", hello(extension(0, list(2, 0, list(2, "a"), 0, list(2, "b"))))],
    ["the extension twice", hello(bytes(good, good))],
    ["an empty name", hello(name(""))],
    ["a NUL in a name", hello(name("a.example\0.evil"))],
    ["a space in a name", hello(name("a b"))],
    ["a name that is not ASCII", hello(name("\xe4"))],
    ["a name of no known type", hello(extension(0, list(2, 7, list(2, "a"))))],
    ["a name list that runs over", hello(extension(0, 0, 9, 0, list(2, "a")))],
    ["bytes behind the names", hello(extension(0, list(2, 0, list(2, "a")), 0))],
    ["an empty list of protocols", hello(extension(16, list(2)))],
    ["an empty protocol", hello(alpn("h2", ""))],
    ["extensions that run over", hello(bytes(0, 0, 0, 9))],
    ["no cipher suites", hello(good, { suites: "" })],
    ["half a cipher suite", hello(good, { suites: "\x13\x01\x13" })],
    ["no compression", hello(good, { compressions: "" })],
    ["a session id that is too long", hello(good, { sessionId: "x".repeat(33) })],
    ["nothing in it", bytes(1, 0, 0, 0)],
    ["bytes behind the extensions", bytes(1, list(3, hello(good).subarray(4), 0))],
  ] as const) {
    assert.equal(parseClientHello(records(message), MOST).type, "bad", why);
  }
  const other = bytes(records(hello(good), 20).subarray(0, 25), 23, 3, 3, 0, 1, 0);
  assert.equal(parseClientHello(other, MOST).type, "bad", "another record in the middle");
});

test("its size and its number of records are bounded", () => {
  assert.deepEqual(parseClientHello(bytes(22, 3, 1, 0x40, 0, 1, 0, 0x40, 0), MOST), {
    type: "too-large",
    bytes: 16_388,
  });
  assert.equal(parseClientHello(records(hello(name("a".repeat(200))), 2), MOST).type, "bad");
});

test("no change of one byte is read as something that breaks us", () => {
  const whole = records(hello(bytes(name("a.example"), alpn("h2"))));
  for (let at = 0; at < whole.length; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const changed = Buffer.from(whole);
      changed[at] = value;
      const parsed = parseClientHello(changed, MOST);
      assert.ok(["more", "hello", "none", "bad", "too-large"].includes(parsed.type));
    }
  }
});
