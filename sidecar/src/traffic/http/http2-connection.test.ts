import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ErrorCode, FrameType, GET, H2Peer, POST, type SeenFrame } from "@heddle/http/testing";
import { defaultHttp2Options, type Http2Options } from "@heddle/traffic";
import { SERVING } from "../listener/serving-state.ts";
import { Harness, type HarnessOptions, MemoryConnection } from "./testing-harness.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** The GOAWAY that leaves out nothing (RFC 9113 §6.8). */
const ALL_STREAMS = 2 ** 31 - 1;

/** A client of HTTP/2 that says what the test wants. */
class Client {
  readonly harness: Harness;
  readonly connection: ReturnType<Harness["connect"]>;
  readonly peer = new H2Peer();
  /** Shows that it has read that the connection drains. */
  answersNotice = true;
  #next = 1;

  constructor(harness: Harness, begins = true) {
    this.harness = harness;
    this.connection = harness.connect();
    if (begins) this.send(PREFACE, this.peer.settings(), this.peer.settingsAck());
    this.frames();
  }

  send(...pieces: readonly (string | Uint8Array)[]): void {
    for (const piece of pieces) this.connection.send(piece);
    this.harness.run();
  }

  /** The number of its stream. */
  get(more: readonly string[] = []): number {
    return this.begin([...GET, ...more], true);
  }

  begin(fields: readonly string[], endStream: boolean): number {
    const streamId = this.#next;
    this.#next += 2;
    this.send(this.peer.headers(streamId, fields, endStream));
    return streamId;
  }

  /** What has come since the last call. */
  frames(): SeenFrame[] {
    const frames = this.peer.read(this.connection.take());
    if (this.answersNotice && frames.some(isNoticePing)) this.answerNotice();
    return frames;
  }

  answerNotice(): void {
    this.send(this.peer.ping(NOTICE_PING, true));
  }

  /** Of GOAWAYs that have come since the last call. */
  goAways(): (readonly [lastStreamId: number | undefined, code: number | undefined])[] {
    return this.frames().flatMap((frame) =>
      frame.type === FrameType.GoAway ? [[frame.lastStreamId, frame.errorCode] as const] : [],
    );
  }

  statuses(): string[] {
    return this.frames().flatMap(({ fields }) => (fields?.[0] === ":status" ? [`${fields[1]}`] : []));
  }
}

const NOTICE_PING = "heddle d";

function isNoticePing({ type, text }: SeenFrame): boolean {
  return type === FrameType.Ping && text === NOTICE_PING;
}

function withClient(options: HarnessOptions, body: (harness: Harness, client: Client) => void): void {
  const harness = new Harness(options);
  body(harness, new Client(harness));
  assert.equal(harness.leaks(), "");
}

function http2(options: Partial<Http2Options>): HarnessOptions {
  return { manager: { http2: { ...defaultHttp2Options, ...options } } };
}

/** Answers what waits for an answer. */
function answerAll(harness: Harness): void {
  for (const upstream of harness.upstreams) if (upstream.take() !== "") upstream.send(OK);
  harness.run();
}

describe("a connection of HTTP/2", () => {
  test("carries many exchanges, which are answered in any order and counted one by one", () => {
    withClient({}, (harness, client) => {
      const [first, second] = [client.get(), client.get()];
      assert.equal(harness.value("http.downstream_rq_active"), 2);
      harness.upstream(1).send(OK);
      harness.run();
      assert.equal(client.frames().find(({ type }) => type === FrameType.Headers)?.streamId, second);
      harness.upstream(0).send(OK);
      harness.run();
      assert.equal(client.frames().find(({ type }) => type === FrameType.Headers)?.streamId, first);
      assert.deepEqual(
        ["cx_http2_total", "cx_http1_total", "cx_http2_active", "rq_http2_total", "rq_2xx", "rq_active"].map((name) =>
          harness.value(`http.downstream_${name}`),
        ),
        [1, 0, 1, 2, 2, 0],
      );
      assert.equal(harness.value("http2.streams_active"), 0);
    });
  });

  test("that breaks the protocol ends with all that it carries, and is counted once", () => {
    withClient({}, (harness, client) => {
      client.get();
      client.get();
      client.send(client.peer.data(99, "on no stream"));
      assert.deepEqual(client.goAways(), [[3, ErrorCode.ProtocolError]]);
      assert.equal(harness.value("http.downstream_cx_protocol_error"), 1);
      assert.equal(harness.value("http.downstream_rq_rx_reset"), 2);
      assert.deepEqual(
        harness.logged.map(({ responseCodeDetails }) => responseCodeDetails),
        ["codec_error", "codec_error"],
      );
      assert.equal(client.connection.ended, true);
      harness.advance(1100);
      assert.equal(client.connection.closed, true, "who does not close is closed");
      assert.equal(harness.value("http.downstream_cx_destroy_local"), 1);
    });
  });

  test("that breaks HTTP in one message ends, or its stream does where that is told", () => {
    const bad = [...GET, "connection", "close"];
    withClient({}, (_harness, client) => {
      client.begin(bad, true);
      assert.deepEqual(client.goAways(), [[1, ErrorCode.ProtocolError]]);
    });
    withClient(http2({ streamErrorOnInvalidHttpMessage: true }), (harness, client) => {
      client.begin(bad, true);
      assert.equal(
        client.frames().find(({ type }) => type === FrameType.RstStream)?.errorCode,
        ErrorCode.ProtocolError,
      );
      client.get();
      answerAll(harness);
      assert.deepEqual(client.statuses(), ["200"]);
    });
  });

  test("takes as many streams as it says, and refuses the next", () => {
    withClient(http2({ maxConcurrentStreams: 2 }), (harness, client) => {
      client.get();
      client.get();
      client.get();
      const refused = client.frames().filter(({ type }) => type === FrameType.RstStream);
      assert.deepEqual(
        refused.map(({ streamId, errorCode }) => [streamId, errorCode]),
        [[5, ErrorCode.RefusedStream]],
      );
      assert.equal(harness.upstreams.length, 2);
      assert.equal(harness.value("http2.stream_refused_errors"), 1);
    });
  });

  test("that never gets past a part of its preface ends after request_headers_timeout", () => {
    const harness = new Harness({ manager: { requestHeadersTimeoutMs: 1000 } });
    const client = new Client(harness, false);
    client.send(PREFACE.slice(0, 5));
    harness.advance(990);
    assert.equal(client.connection.ended, false);
    harness.advance(20);
    assert.equal(client.connection.ended, true);
    assert.equal(harness.leaks(), "");
  });
});

describe("a client of HTTP/2 that stands still", () => {
  test("within a frame ends after request_headers_timeout, behind what is open", () => {
    withClient({ manager: { requestHeadersTimeoutMs: 1000 } }, (harness, client) => {
      client.get();
      const head = client.peer.headers(3, GET);
      client.send(head.subarray(0, 11));
      harness.advance(990);
      assert.deepEqual(client.goAways(), []);
      harness.advance(20);
      assert.deepEqual(client.goAways(), [[1, ErrorCode.NoError]]);
      assert.equal(harness.value("http.downstream_rq_header_timeout"), 1);
      answerAll(harness);
      assert.equal(client.connection.ended, true);
    });
  });

  test("between the frames of a head gets 408, and the connection goes on", () => {
    withClient({ manager: { requestHeadersTimeoutMs: 1000 } }, (harness, client) => {
      const block = client.peer.block(GET);
      client.send(client.peer.frame(FrameType.Headers, 1, 1, block.subarray(0, 3)));
      harness.advance(1010);
      assert.deepEqual(client.statuses(), ["408"]);
      assert.equal(harness.value("http.downstream_rq_header_timeout"), 1);
      client.send(client.peer.frame(FrameType.Continuation, 4, 1, block.subarray(3)), client.peer.headers(3, GET));
      answerAll(harness);
      assert.deepEqual(client.statuses(), ["200"]);
    });
  });

  test("only ever for a moment goes on, wherever its heads are cut", () => {
    withClient({ manager: { requestHeadersTimeoutMs: 1000 } }, (harness, client) => {
      let late: Uint8Array = new Uint8Array(0);
      for (let round = 0; round < 10; round++) {
        const head = client.peer.headers(1 + 2 * round, GET);
        client.send(Buffer.concat([late, head.subarray(0, 11)]));
        late = head.subarray(11);
        harness.advance(500);
      }
      assert.deepEqual(client.goAways(), []);
      assert.equal(harness.upstreams.length, 9);
    });
  });

  test("within the first bytes of a frame is idle", () => {
    withClient({ manager: { idleTimeoutMs: 1000, drainTimeoutMs: 500 } }, (harness, client) => {
      client.get();
      harness.upstream().send(OK);
      client.send(client.peer.ping().subarray(0, 3));
      harness.advance(1600);
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      harness.advance(500); // since it cannot answer that it has read this
      assert.equal(client.connection.ended, true);
    });
  });

  test("before a complete answer loses it after stream_idle_timeout, but not while it takes some", () => {
    withClient({ manager: { streamIdleTimeoutMs: 1000 } }, (harness, client) => {
      client.send(client.peer.settings([4, 10])); // SETTINGS_INITIAL_WINDOW_SIZE
      const slow = client.get();
      const stuck = client.get();
      for (const upstream of [0, 1]) {
        harness.upstream(upstream).send(`HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n${"x".repeat(100)}`);
      }
      harness.run();
      assert.equal(harness.value("http.downstream_rq_active"), 0);
      assert.equal(harness.value("http2.streams_active"), 2);
      for (let round = 0; round < 4; round++) {
        harness.advance(990);
        client.send(client.peer.windowUpdate(slow, 10));
      }
      const resets = client.frames().filter(({ type }) => type === FrameType.RstStream);
      assert.deepEqual(
        resets.map(({ streamId, errorCode }) => [streamId, errorCode]),
        [[stuck, ErrorCode.Cancel]],
      );
      assert.equal(harness.value("http2.tx_flush_timeout"), 1);
      assert.equal(harness.value("http2.pending_send_bytes"), 50);
      harness.advance(2100);
      assert.equal(harness.value("http2.tx_flush_timeout"), 2);
      assert.equal(harness.value("http2.pending_send_bytes"), 0);
      assert.equal(harness.value("http2.streams_active"), 0);
    });
  });
});

describe("one exchange of several", () => {
  test("that is overdue ends alone, with its answer", () => {
    withClient({ manager: { requestTimeoutMs: 1000 } }, (harness, client) => {
      const slow = client.begin(POST, false);
      harness.advance(500);
      const later = client.begin(POST, false);
      harness.advance(600);
      const frames = client.frames();
      assert.deepEqual(
        frames.filter(({ type }) => type === FrameType.Headers).map(({ streamId, fields }) => [streamId, fields?.[1]]),
        [[slow, "408"]],
      );
      assert.ok(frames.some(({ type, errorCode }) => type === FrameType.RstStream && errorCode === ErrorCode.NoError));
      client.send(client.peer.data(later, "", true));
      answerAll(harness);
      assert.deepEqual(client.statuses(), ["200"]);
      assert.deepEqual(client.goAways(), []);
    });
  });

  test("that is refused leaves the others and the connection alone", () => {
    const manager = { headersWithUnderscoresAction: "REJECT_REQUEST", maxRequestHeadersKb: 1 } as const;
    withClient({ manager }, (harness, client) => {
      const good = client.get();
      const large = client.get(["x-large", "y".repeat(2048)]);
      const underscore = client.get(["a_b", "1"]);
      const upgrade = client.begin([":method", "CONNECT", ":authority", "a:1"], false);
      const expecting = client.begin([...POST, "expect", "a miracle"], false);
      const frames = client.frames();
      const statusOf = (id: number) =>
        frames.find(({ streamId, type }) => streamId === id && type === FrameType.Headers)?.fields?.[1];
      assert.deepEqual([large, upgrade, expecting].map(statusOf), ["431", "403", "417"]);
      assert.equal(statusOf(underscore), undefined);
      assert.equal(harness.value("http2.requests_rejected_with_underscores_in_headers"), 1);
      assert.equal(harness.logged.find(({ request }) => request.headers.has("a_b"))?.responseCodeDetails,
        "http2.unexpected_underscore"); // biome-ignore format: one line too long
      const tooLarge = harness.logged.find(({ response }) => response?.status === 431) as { httpVersion?: string };
      assert.equal(tooLarge.httpVersion, "2", "%PROTOCOL%, though no head was read");
      assert.equal(harness.value("http.downstream_rq_too_large"), 1);
      answerAll(harness);
      assert.deepEqual(client.frames().find(({ fields }) => fields !== undefined)?.streamId, good);
      assert.equal(client.connection.ended, false);
    });
  });

  test("that the client takes back is given up upstream, and logged as that", () => {
    withClient({}, (harness, client) => {
      const taken = client.get();
      const kept = client.get();
      client.send(client.peer.reset(taken, ErrorCode.Cancel));
      assert.equal(harness.upstream(0).closed, true);
      assert.equal(harness.upstream(1).closed, false);
      const [logged] = harness.logged;
      assert.equal(logged?.responseCodeDetails, "http2.remote_reset");
      assert.equal(harness.value("http.downstream_rq_rx_reset"), 1);
      assert.equal(harness.value("http.downstream_rq_completed"), 0);
      answerAll(harness);
      assert.equal(client.frames().find(({ fields }) => fields !== undefined)?.streamId, kept);
    });
  });

  test("whose answer breaks off is reset, and the connection goes on", () => {
    withClient({}, (harness, client) => {
      client.get();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
      harness.run();
      harness.upstream().break();
      harness.run();
      assert.ok(client.frames().some(({ type }) => type === FrameType.RstStream));
      assert.equal(harness.value("http.downstream_rq_tx_reset"), 1);
      assert.equal(client.connection.ended, false);
    });
  });

  test("counts the bytes of its own frames", () => {
    const seen: (readonly [received: number, sent: number])[] = [];
    const harness = new Harness();
    harness.onLog = ({ wireBytesReceived, wireBytesSent }) => seen.push([wireBytesReceived, wireBytesSent]);
    const client = new Client(harness);
    const head = client.peer.headers(1, POST, false);
    const body = client.peer.data(1, "hello", true);
    client.send(head, client.peer.headers(3, GET), body);
    harness.upstream(1).send("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nanother");
    harness.upstream(0).send(OK);
    harness.run();
    const sent = new Map<number, number>();
    for (const { streamId, length, type } of client.frames()) {
      if (type === FrameType.Headers || type === FrameType.Data) {
        sent.set(streamId, (sent.get(streamId) ?? 0) + length + 9);
      }
    }
    assert.deepEqual(seen.map(([, bytes]) => bytes).sort(), [sent.get(1), sent.get(3)].sort());
    assert.ok(seen.some(([received]) => received === head.length + body.length));
    assert.equal(harness.leaks(), "");
  });
});

describe("HTTP/2 that drains", () => {
  test("tells first, takes what is on its way, names the last stream after drain_timeout, and ends behind it", () => {
    withClient({ manager: { drainTimeoutMs: 3000 } }, (harness, client) => {
      client.get();
      client.connection.http.drainGently();
      assert.deepEqual(client.goAways(), []); // not before the turn is over
      harness.run();
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      harness.advance(2900);
      client.get();
      harness.advance(200);
      assert.deepEqual(client.goAways(), [[3, ErrorCode.NoError]]);
      client.get();
      assert.equal(
        client.frames().find(({ type }) => type === FrameType.RstStream)?.errorCode,
        ErrorCode.RefusedStream,
      );
      assert.equal(harness.upstreams.length, 2);
      harness.advance(5000);
      assert.equal(client.connection.ended, false, "streams are not cut");
      answerAll(harness);
      assert.deepEqual(client.statuses(), ["200", "200"]);
      assert.equal(client.connection.ended, true);
      assert.equal(harness.value("http.downstream_cx_drain_close"), 1);
    });
  });

  test("waits for a client that has not read the notice, until it has, so that none of its streams is refused", () => {
    withClient({ manager: { drainTimeoutMs: 3000 } }, (harness, client) => {
      client.answersNotice = false;
      client.connection.http.drainGently();
      harness.advance(3100);
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      client.get(); // it was on its way for long
      answerAll(harness);
      assert.deepEqual(client.statuses(), ["200"]);
      client.answerNotice();
      harness.advance(10);
      assert.deepEqual(client.goAways(), [[1, ErrorCode.NoError]]);
      assert.equal(client.connection.ended, true);
    });
  });

  test("waits for that as long again as the drain itself and no longer, and no other PING's answer counts", () => {
    withClient({ manager: { drainTimeoutMs: 3000 } }, (harness, client) => {
      client.answersNotice = false;
      client.connection.http.drainGently(1000);
      harness.run();
      client.frames();
      client.send(client.peer.ping("heddle h", true), client.peer.ping("12345678", true));
      harness.advance(1900);
      client.connection.http.drainGently(1000); // asked again, it gives no more time
      assert.deepEqual(client.goAways(), []);
      harness.advance(200);
      assert.deepEqual(client.goAways(), [[0, ErrorCode.NoError]]);
      assert.equal(client.connection.ended, true);
    });
  });

  test("is not cut short by a client that answers at once, nor by an answer that was not asked for", () => {
    withClient({ manager: { drainTimeoutMs: 3000 } }, (harness, client) => {
      client.answerNotice(); // nobody has told it anything
      client.answersNotice = false;
      client.connection.http.drainGently();
      harness.run();
      client.answerNotice();
      harness.advance(2900);
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      harness.advance(200);
      assert.deepEqual(client.goAways(), [[0, ErrorCode.NoError]]);
    });
  });

  test("at once names the last stream at once", () => {
    withClient({}, (harness, client) => {
      client.get();
      client.connection.http.drain();
      harness.run();
      assert.deepEqual(client.goAways(), [[1, ErrorCode.NoError]]);
      answerAll(harness);
      assert.equal(client.connection.ended, true);
    });
  });

  test("is told when it is decided that this is HTTP/2, if that is later", () => {
    const harness = new Harness();
    const client = new Client(harness, false);
    client.connection.http.drainGently();
    client.send(PREFACE, client.peer.settings());
    assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
    client.get();
    answerAll(harness);
    assert.deepEqual(client.statuses(), ["200"]);
    harness.advance(5100);
    assert.equal(client.connection.ended, true);
    assert.equal(harness.leaks(), "");
  });

  test("does so for idleness, once", () => {
    withClient({ manager: { idleTimeoutMs: 1000, drainTimeoutMs: 500 } }, (harness, client) => {
      client.get();
      harness.advance(1500);
      assert.deepEqual(client.goAways(), [], "what is open is not idle");
      answerAll(harness);
      client.frames();
      harness.advance(1010);
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      harness.advance(510);
      assert.deepEqual(client.goAways(), [[1, ErrorCode.NoError]]);
      assert.equal(client.connection.ended, true);
      assert.equal(harness.value("http.downstream_cx_idle_timeout"), 1);
    });
  });

  test("does so for its age, whatever http1_safe_max_connection_duration says", () => {
    const manager = { maxConnectionDurationMs: 1000, drainTimeoutMs: 500, http1SafeMaxConnectionDuration: true };
    withClient({ manager }, (harness, client) => {
      harness.advance(1010);
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      harness.advance(510);
      assert.equal(client.connection.ended, true);
      assert.equal(harness.value("http.downstream_cx_max_duration_reached"), 1);
    });
  });

  test("does so with the last request that max_requests_per_connection allows, and still takes those on their way", () => {
    withClient({ manager: { maxRequestsPerConnection: 2, drainTimeoutMs: 500 } }, (harness, client) => {
      client.get();
      assert.deepEqual(client.goAways(), []);
      client.get();
      assert.deepEqual(client.goAways(), [[ALL_STREAMS, ErrorCode.NoError]]);
      client.get();
      answerAll(harness);
      assert.deepEqual(client.statuses(), ["200", "200", "200"]);
      harness.advance(510);
      assert.equal(client.connection.ended, true);
      assert.equal(harness.value("http.downstream_cx_max_requests_reached"), 1);
    });
  });

  test("does so with an answer while the health check fails, once", () => {
    withClient({}, (harness, client) => {
      harness.serving.publish({ ...SERVING, healthCheckFailed: true });
      client.get();
      client.get();
      answerAll(harness);
      assert.deepEqual(
        client.frames().flatMap(({ type, lastStreamId }) => (type === FrameType.GoAway ? [lastStreamId] : [])),
        [ALL_STREAMS],
      );
      assert.equal(harness.value("http.downstream_cx_drain_close"), 1);
      harness.advance(5100);
      assert.equal(client.connection.ended, true);
    });
  });
});

describe("PINGs of connection_keepalive", () => {
  const keepalive = { intervalMs: 1000, timeoutMs: 300, intervalJitterPercent: 0, connectionIdleIntervalMs: 0 };
  const pings = (client: Client): number => client.frames().filter(({ type }) => type === FrameType.Ping).length;

  test("keep a connection whose client answers", () => {
    withClient(http2({ keepalive }), (harness, client) => {
      for (let round = 0; round < 5; round++) {
        harness.advance(1010);
        const ping = client.frames().find(({ type }) => type === FrameType.Ping);
        assert.ok(ping !== undefined, `round ${round}`);
        client.send(client.peer.ping(ping.text, true));
      }
      assert.equal(client.connection.closed, false);
      assert.equal(harness.value("http2.keepalive_timeout"), 0);
    });
  });

  test("end one whose client does not, and its exchanges say why", () => {
    withClient(http2({ keepalive }), (harness, client) => {
      client.get();
      harness.advance(1010);
      assert.equal(pings(client), 1);
      harness.advance(310);
      assert.equal(client.connection.closed, true);
      assert.equal(harness.value("http2.keepalive_timeout"), 1);
      assert.equal(harness.logged[0]?.responseCodeDetails, "downstream_local_disconnect(http2_ping_timeout)");
    });
  });
});

describe("a client that takes its requests back", () => {
  const resetAfter = (harness: Harness, client: Client, count: number, meanwhile: () => void = () => undefined) => {
    for (let i = 0; i < count && !client.connection.ended; i++) {
      const id = client.get();
      meanwhile();
      client.send(client.peer.reset(id, ErrorCode.Cancel));
    }
    return harness.value("http.downstream_rq_too_many_premature_resets");
  };

  test("is cut off after 250 of them, and nothing of them stays with the upstream", () => {
    withClient({}, (harness, client) => {
      assert.equal(resetAfter(harness, client, 249), 0);
      assert.equal(client.connection.ended, false);
      assert.equal(resetAfter(harness, client, 10), 1);
      assert.deepEqual(
        client.goAways().map(([, code]) => code),
        [ErrorCode.EnhanceYourCalm],
      );
      assert.equal(client.connection.ended, true);
      assert.equal(harness.upstreams.filter(({ closed }) => !closed).length, 0);
      assert.equal(harness.value("cluster.upstream_rq_active"), 0);
    });
  });

  test("is not where it has waited for more than a second each time, or had the head of an answer", () => {
    withClient({}, (harness, client) => {
      assert.equal(
        resetAfter(harness, client, 260, () => harness.clock.advance(1010)),
        0,
      );
    });
    withClient({}, (harness, client) => {
      const head = (): void => {
        harness.upstreams.at(-1)?.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        harness.run();
      };
      assert.equal(resetAfter(harness, client, 260, head), 0);
    });
  });

  test("is where it makes us reset them (MadeYouReset)", () => {
    withClient({}, (harness, client) => {
      for (let i = 0; i < 300 && !client.connection.ended; i++) {
        client.send(client.peer.windowUpdate(client.get(), 0));
      }
      assert.equal(harness.value("http.downstream_rq_too_many_premature_resets"), 1);
      assert.equal(harness.upstreams.filter(({ closed }) => !closed).length, 0);
    });
  });

  test("all at once by leaving has left, and no more", () => {
    const harness = new Harness(http2({ maxConcurrentStreams: 400 }));
    const client = new Client(harness);
    for (let i = 0; i < 300; i++) client.get();
    client.connection.break();
    harness.run();
    assert.equal(harness.value("http.downstream_rq_too_many_premature_resets"), 0);
    assert.equal(harness.leaks(), "");
  });
});

describe("codec_type AUTO", () => {
  /** What is spoken with a client that has agreed on that by ALPN, and sends that first. */
  const spoken = (alpnProtocol: string, codecType: "AUTO" | "HTTP1" | "HTTP2" = "AUTO"): readonly number[] => {
    const harness = new Harness({ manager: { codecType } });
    const connection = new MemoryConnection();
    connection.alpnProtocol = alpnProtocol;
    const { id, remoteAddress, remotePort, localAddress, localPort } = connection;
    const info = { directRemoteAddress: remoteAddress, remoteAddress, remotePort, localAddress, localPort };
    harness.manager.serve(
      connection,
      { ...info, connectionId: id, listener: "test", filterChain: "" },
      () => undefined,
    );
    const counts = [1, 2].map((version) => harness.value(`http.downstream_cx_http${version}_total`));
    connection.destroy();
    connection.turn();
    assert.equal(harness.leaks(), "");
    return counts;
  };

  test("follows what ALPN has agreed on, before the first byte", () => {
    assert.deepEqual(spoken("h2"), [0, 1]);
    assert.deepEqual(spoken("http/1.1"), [1, 0]);
    assert.deepEqual(spoken(""), [0, 0]);
  });

  test("answers nothing to a first line that is neither protocol, and 400 to one that is nearly HTTP/1", () => {
    for (const [line, answer] of [
      ["INVALID CONNECTION PREFACE", ""],
      ["GET CONNECTION PREFACE", "HTTP/1.1 400 "],
      ["INVALID / PREFACE", "HTTP/1.1 400 "],
      ["INVALID CONNECTION", "HTTP/1.1 400 "],
    ] as const) {
      withClient({}, (harness) => {
        const client = new Client(harness, false);
        client.send(`${line}\r\n\r\n`);
        assert.equal(client.connection.take().slice(0, 13), answer, line);
        assert.equal(client.connection.ended, true);
      });
    }
    withClient({ manager: { codecType: "HTTP1" } }, (harness) => {
      const client = new Client(harness, false);
      client.send("INVALID CONNECTION PREFACE\r\n\r\n");
      assert.match(client.connection.take(), /^HTTP\/1\.1 400 /);
    });
  });

  test("is told apart from HTTP1 and HTTP2, which ALPN does not change", () => {
    assert.deepEqual(spoken("h2", "HTTP1"), [1, 0]);
    assert.deepEqual(spoken("http/1.1", "HTTP2"), [0, 1]);
  });
});
