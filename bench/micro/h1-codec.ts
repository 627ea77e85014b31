/**
 * What the HTTP/1 codec costs, in nanoseconds for one operation: `node --conditions=heddle-src bench/micro/h1-codec.ts`.
 *
 * Each row runs in several rounds and prints the fastest, which is the one the machine disturbed least. All rows run a
 * warm-up over varied messages first, so that no row is measured on code that has only ever seen one shape.
 */
import {
  H1ClientConnection,
  H1ServerConnection,
  HeaderMap,
  type RequestDecoder,
  type RequestEncoder,
  RequestHead,
  type ResponseDecoder,
  type ResponseEncoder,
  ResponseHead,
  type Transport,
} from "@heddle/http";

const ROUNDS = 7;

/** Takes everything and remembers the last head, as bytes, so that writing has its real cost. */
class Sink implements Transport {
  readonly buffer = Buffer.allocUnsafeSlow(64 * 1024);
  length = 0;

  writeLatin1(text: string): void {
    this.length += this.buffer.write(text, this.length, "latin1");
  }

  writeBytes(bytes: Uint8Array): boolean {
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return true;
  }

  end(): void {}
  destroy(): void {}
  reset(): void {}
  pause(): void {}
  resume(): void {}
}

const nothingHeard = { onProtocolError() {}, onIdle() {}, onCapacityChange() {}, onClose() {} };

/** Forwards each request to the client, and the client's response back: a proxy without anything between. */
class Pipe implements RequestDecoder, ResponseDecoder {
  encoder: ResponseEncoder | undefined = undefined;
  upstream: RequestEncoder | undefined = undefined;
  readonly #client: H1ClientConnection;

  constructor(client: H1ClientConnection) {
    this.#client = client;
  }

  onHead(head: RequestHead | ResponseHead, endStream: boolean): void {
    if (head instanceof RequestHead) {
      this.upstream = this.#client.startExchange(this);
      this.upstream.sendHead(head, endStream);
    } else this.encoder?.sendHead(head, endStream);
  }

  onData(chunk: Uint8Array, endStream: boolean): void {
    this.encoder?.sendData(chunk, endStream);
  }

  onInformational(): void {}
  onTrailers(): void {}
  onReset(): void {}
  onDrain(): void {}
}

const REQUEST = Buffer.from(
  "GET /stock/items/17?colour=blue HTTP/1.1\r\nHost: stock.shop.example:8080\r\nUser-Agent: curl/8.5.0\r\n" +
    "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nX-Request-Id: 9c8c4b1e-6f1a-4a53-9d3a-0d8ad4ef7d6f\r\n" +
    "X-Forwarded-For: 10.2.3.4\r\nX-Forwarded-Proto: http\r\n" +
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
);
const BODY = Buffer.alloc(170, "x");
const RESPONSE = Buffer.concat([
  Buffer.from(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 21 Nov 2026 08:00:00 GMT\r\nConnection: keep-alive\r\n" +
      'Keep-Alive: timeout=5\r\nX-Served-By: stock-v2\r\nETag: "abc"\r\nContent-Length: 170\r\n\r\n',
  ),
  BODY,
]);
const CHUNKED = Buffer.from(
  `POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${`4000\r\n${"x".repeat(16_384)}\r\n`.repeat(4)}0\r\n\r\n`,
);

/** Answers nothing; the response is sent by the row itself. */
class Server {
  readonly sink = new Sink();
  readonly connection = new H1ServerConnection(this.sink, {
    ...nothingHeard,
    onRequest: (encoder) => this.#begin(encoder),
  });
  encoder: ResponseEncoder | undefined = undefined;
  readonly #decoder: RequestDecoder = { onHead() {}, onData() {}, onTrailers() {}, onReset() {}, onDrain() {} };

  #begin(encoder: ResponseEncoder): RequestDecoder {
    this.encoder = encoder;
    return this.#decoder;
  }
}

const head = new ResponseHead(
  200,
  new HeaderMap([
    "content-type", "application/json", "date", "Sat, 21 Nov 2026 08:00:00 GMT", "x-served-by", "stock-v2", "etag", '"abc"',
    "content-length", "170",
  ]), // biome-ignore format: pairs
);
const notModified = new ResponseHead(304, new HeaderMap());

const server = new Server();
const short = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
const single = Array.from(REQUEST, (_, i) => REQUEST.subarray(i, i + 1));

const proxyServerSink = new Sink();
const proxyClientSink = new Sink();
const client = new H1ClientConnection(proxyClientSink, nothingHeard);
const pipe = new Pipe(client);
const proxy = new H1ServerConnection(proxyServerSink, {
  ...nothingHeard,
  onRequest(encoder) {
    pipe.encoder = encoder;
    return pipe;
  },
});

const rows: readonly { readonly name: string; readonly times: number; readonly run: () => void }[] = [
  {
    name: "request of one field, 304",
    times: 200_000,
    run() {
      server.sink.length = 0;
      server.connection.receive(short);
      server.encoder?.sendHead(notModified, true);
    },
  },
  {
    name: "request of 8 fields, 304",
    times: 100_000,
    run() {
      server.sink.length = 0;
      server.connection.receive(REQUEST);
      server.encoder?.sendHead(notModified, true);
    },
  },
  {
    name: "request of 8 fields, 200 of 5 fields and 170 bytes",
    times: 100_000,
    run() {
      server.sink.length = 0;
      server.connection.receive(REQUEST);
      server.encoder?.sendHead(head, false);
      server.encoder?.sendData(BODY, true);
    },
  },
  {
    name: "request of 8 fields byte by byte, 304",
    times: 5000,
    run() {
      server.sink.length = 0;
      for (const byte of single) server.connection.receive(byte);
      server.encoder?.sendHead(notModified, true);
    },
  },
  {
    name: "request of four chunks of 16 KiB, 304",
    times: 50_000,
    run() {
      server.sink.length = 0;
      server.connection.receive(CHUNKED);
      server.encoder?.sendHead(notModified, true);
    },
  },
  {
    name: "proxy round trip: parse and send a request, parse and send its response",
    times: 100_000,
    run() {
      proxyServerSink.length = 0;
      proxyClientSink.length = 0;
      proxy.receive(REQUEST);
      client.receive(RESPONSE);
    },
  },
];

for (const row of rows) for (let i = 0; i < 2000; i++) row.run();
for (const row of rows) {
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage().user;
    for (let i = 0; i < row.times; i++) row.run();
    fastest = Math.min(fastest, ((process.cpuUsage().user - before) * 1000) / row.times);
  }
  console.log(`${fastest.toFixed(0).padStart(8)} ns  ${row.name}`);
}
if (!proxyServerSink.buffer.subarray(0, proxyServerSink.length).includes(BODY))
  throw new Error("the proxy row lost the body");
