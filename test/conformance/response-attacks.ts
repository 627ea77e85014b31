import { badLengthValues, brokenChunks, brokenLines, PART, show, unclearCodings, unknownCodings } from "./malformed.ts";

/* What a hostile or broken upstream may send instead of an answer, and what comes of it. A character is a byte. */

export type ResponseVerdict =
  /** It is no answer: the client gets one of the sidecar's own, 502. */
  | { readonly type: "refused" }
  /** The connection ended before there was an answer: 503. */
  | { readonly type: "missing" }
  /** Its head may have reached the client; the rest never completes it. */
  | { readonly type: "cut" }
  /** The client gets these bytes, and of what comes behind them nothing. `kept`: the upstream's connection is used again. */
  | { readonly type: "forwarded"; readonly as: string; readonly kept: boolean };

export interface ResponseAttack {
  readonly what: string;
  readonly bytes: string;
  readonly verdict: ResponseVerdict;
  /** What the upstream does behind the bytes. Default: it waits for the next request. */
  readonly end?: "fin" | "rst";
  /** Of the request. Default GET. */
  readonly method?: "GET" | "HEAD";
}

type Options = Pick<ResponseAttack, "end" | "method">;
type Row = readonly [what: string, bytes: string, verdict: ResponseVerdict, options?: Options];

const REFUSED: ResponseVerdict = { type: "refused" };
const MISSING: ResponseVerdict = { type: "missing" };
const CUT: ResponseVerdict = { type: "cut" };
const kept = (as: string): ResponseVerdict => ({ type: "forwarded", as, kept: true });
const dropped = (as: string): ResponseVerdict => ({ type: "forwarded", as, kept: false });

const lines = (...texts: readonly string[]): string => texts.map((text) => `${text}\r\n`).join("");
const ok = (...fields: readonly string[]): string => `${lines("HTTP/1.1 200 OK", ...fields)}\r\n`;
const HELLO = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const EMPTY = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const POISON = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
const chunked = (body: string): string => `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}`;
const FIN: Options = { end: "fin" };
const RST: Options = { end: "rst" };
const HEAD: Options = { method: "HEAD" };

const statusLines: readonly Row[] = [
  ..."HTTP/1.1 20‖HTTP/1.1 2‖HTTP/1.1 2000 OK‖HTTP/1.1 099 OK‖HTTP/1.1 000 OK‖HTTP/1.1 600 OK‖HTTP/1.1 999 OK‖HTTP/1.1 -20 OK‖HTTP/1.1 +20 OK‖HTTP/1.1 0200 OK‖HTTP/1.1 0x0 OK‖HTTP/1.1 2x0 OK‖HTTP/1.1 2 0 OK‖HTTP/1.1 20\xb2 OK‖HTTP/1.1 200OK‖HTTP/1.1 200\tOK‖HTTP/1.1\t200 OK‖HTTP/1.1  200 OK‖HTTP/1.1200 OK‖HTTP/1.1‖HTTP/1.1 ‖HTTP/1.1 OK‖HTTP/1.2 200 OK‖HTTP/2.0 200 OK‖HTTP/2 200‖HTTP/0.9 200 OK‖http/1.1 200 OK‖HTTP/1.10 200 OK‖HTTP/01.1 200 OK‖HTTP/11 200 OK‖HTTP/1 200 OK‖HTTP/1.x 200 OK‖HTTP 1.1 200 OK‖HTTP/ 1.1 200 OK‖HTTPS/1.1 200 OK‖ICY 200 OK‖RTSP/1.0 200 OK‖SIP/2.0 200 OK‖ HTTP/1.1 200 OK‖\tHTTP/1.1 200 OK‖\r\nHTTP/1.1 200 OK‖\nHTTP/1.1 200 OK‖\rHTTP/1.1 200 OK‖\0HTTP/1.1 200 OK‖\xef\xbb\xbfHTTP/1.1 200 OK‖200 OK‖GET / HTTP/1.1‖SSH-2.0-OpenSSH_9.2‖220 smtp.example.com ESMTP‖\x15\x03\x03\0\x02\x02\x46‖\0\0\x12\x04\0\0\0\0\0‖<html>‖{}‖HTTP/1.1 200 O\0K‖HTTP/1.1 200 O\rK‖HTTP/1.1 200 O\nK‖HTTP/1.1 200 OK\r‖HTTP/1.1 200 OK\x0b‖HTTP/1.1 200 OK\x7f‖HTTP/1.1\x0b200 OK‖HTTP/1.1\xa0200 OK"
    .split(PART)
    .map((line): Row => [`the status line ${show(line)}`, `${lines(line, "Content-Length: 5")}\r\nhello`, REFUSED]),
  ["HTTP/0.9", "hello, this is all", MISSING, FIN],
  ["a head whose lines end in LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", REFUSED],
  ["a head that ends in LF", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello", REFUSED],
  ["no reason", "HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello", kept(HELLO)],
  ["no reason and no space", "HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", kept(HELLO)],
];

const fields: readonly Row[] = [
  ...[
    ...brokenLines("Transfer-Encoding", "chunked"),
    ...brokenLines("Content-Length", "5"),
    ...brokenLines("X-Any", "y"),
  ].map((line): Row => [`the line ${show(line)}`, `${ok(line)}hello`, REFUSED]),
  ...badLengthValues.map(
    (value): Row => [`the length ${show(value)}`, `${ok(`Content-Length: ${value}`)}hello`, REFUSED],
  ),
  ["two lengths", `${ok("Content-Length: 5", "Content-Length: 6")}hello`, REFUSED],
  ["equal lengths", `${ok("Content-Length: 5", "Content-Length: 5")}hello`, REFUSED],
  ...[...unclearCodings, ...unknownCodings].map(
    (value): Row => [
      `the coding ${show(value)}`,
      `${ok(`Transfer-Encoding: ${value}`)}5\r\nhello\r\n0\r\n\r\n`,
      REFUSED,
    ],
  ),
  ["chunked twice", `${ok("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")}0\r\n\r\n`, REFUSED],
  ["length and coding", `${ok("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n`, REFUSED],
  ["coding and length", `${ok("Transfer-Encoding: chunked", "Content-Length: 0")}0\r\n\r\n`, REFUSED],
  ["a coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED],
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
    .filter((byte) => !/[!#$%&'*+\-.^_`|~0-9A-Za-z:]/.test(byte))
    .map((byte): Row => [`${show(byte)} in a field's name`, ok(`X${byte}Y: z`, "Content-Length: 0"), REFUSED]),
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
    .filter((byte) => !/[\t\x20-\x7e\x80-\xff]/.test(byte))
    .map((byte): Row => [`${show(byte)} in a field's value`, ok(`X: y${byte}z`, "Content-Length: 0"), REFUSED]),
  ["101 fields", ok(...Array.from({ length: 101 }, (_, i) => `x-${i}: 1`)), REFUSED],
  ["a field of 81 KiB", ok(`X: ${"y".repeat(81 * 1024)}`), REFUSED],
  ["a reason of 81 KiB", `HTTP/1.1 200 ${"y".repeat(81 * 1024)}\r\n\r\n`, REFUSED],
  ["a head without end", `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(20_000)}`, REFUSED],
  ["a line without end", `HTTP/1.1 200 OK\r\nX: ${"y".repeat(100_000)}`, REFUSED],
  ["a head that ends too early", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", MISSING, FIN],
  ["a head that is broken off", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", MISSING, RST],
  ["nothing, and the end", "", MISSING, FIN],
  ["nothing, and a reset", "", MISSING, RST],
  [
    "a connection option that names the length",
    `${ok("Connection: content-length", "Content-Length: 5")}hello`,
    kept(HELLO),
  ],
  [
    "fields of the connection",
    `${ok("Connection: x-a", "X-A: 1", "Keep-Alive: timeout=60", "Upgrade: h2c", "Proxy-Connection: x", "Content-Length: 5")}hello`,
    kept(HELLO),
  ],
];

const interim: readonly Row[] = [
  ["33 interim answers", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(33) + HELLO, REFUSED],
  ["10,000 interim answers", "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000), REFUSED],
  ["interim answers, and the end", "HTTP/1.1 100 Continue\r\n\r\n".repeat(3), MISSING, FIN],
  [
    "101 that nobody asked for",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    REFUSED,
  ],
  ["101 without a protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n", REFUSED],
  ["a body behind 100", `HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello${HELLO}`, REFUSED],
  ["chunks behind 100", `HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HELLO}`, REFUSED],
  ["100 with LF", `HTTP/1.1 100 Continue\n\n${HELLO}`, REFUSED],
  ["32 times 100", "HTTP/1.1 100 Continue\r\n\r\n".repeat(32) + HELLO, kept(HELLO)],
];

const bodies: readonly Row[] = [
  ...brokenChunks.map(([what, body]): Row => [what, chunked(body), CUT]),
  ["a body shorter than its length", `${ok("Content-Length: 6")}hello`, CUT, FIN],
  ["a body broken off", `${ok("Content-Length: 6")}hello`, CUT, RST],
  ["no body where there is a length", ok("Content-Length: 6"), CUT, FIN],
  ["chunks that end within a chunk", chunked("6\r\nhello"), CUT, FIN],
  ["chunks that are broken off within a chunk", chunked("6\r\nhello"), CUT, RST],
  ["chunks that end behind a chunk", chunked("5\r\nhello\r\n"), CUT, FIN],
  ["chunks that are broken off behind a chunk", chunked("5\r\nhello\r\n"), CUT, RST],
  ["chunks that end within the last chunk", chunked("5\r\nhello\r\n0"), CUT, FIN],
  ["chunks that end before the last line", chunked("5\r\nhello\r\n0\r\n"), CUT, FIN],
  ["chunks that end within the trailers", chunked("5\r\nhello\r\n0\r\nx: y\r\n"), CUT, FIN],
  ["a body without a length that is broken off", `${ok()}hello`, CUT, RST],
  ["a body without a length", `${ok()}hello`, dropped(chunked("5\r\nhello\r\n0\r\n\r\n")), FIN],
  [
    "two answers in a body without a length",
    `${ok()}${POISON}`,
    dropped(chunked(`${POISON.length.toString(16)}\r\n${POISON}\r\n0\r\n\r\n`)),
    FIN,
  ],
  ["a body in HTTP/1.0", `HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello`, dropped(HELLO)],
  ["connection: close", `${ok("Connection: close", "Content-Length: 5")}hello`, dropped(HELLO)],
];

/** Bytes behind an answer would be the answer to the next request. */
const behind: readonly Row[] = [
  ["two answers", HELLO + POISON, dropped(HELLO)],
  ["a hundred answers", HELLO + POISON.repeat(100), dropped(HELLO)],
  ["an answer and half of another", `${HELLO}HTTP/1.1 200 OK\r\ncontent-`, dropped(HELLO)],
  ["an answer and a 408 that nobody asked for", `${HELLO}HTTP/1.1 408 Request Timeout\r\n\r\n`, dropped(HELLO)],
  ["an answer and a 100", `${HELLO}HTTP/1.1 100 Continue\r\n\r\n`, dropped(HELLO)],
  ["one byte more than the length", `${HELLO}!`, dropped(HELLO)],
  ["an empty line behind an answer", `${HELLO}\r\n`, dropped(HELLO)],
  ["chunks behind a length of 0", `${EMPTY}5\r\nhello\r\n0\r\n\r\n`, dropped(EMPTY)],
  [
    "a byte behind the last chunk",
    `${chunked("5\r\nhello\r\n0\r\n\r\n")}!`,
    dropped(chunked("5\r\nhello\r\n0\r\n\r\n")),
  ],
  [
    "an answer behind the last chunk",
    chunked("5\r\nhello\r\n0\r\n\r\n") + POISON,
    dropped(chunked("5\r\nhello\r\n0\r\n\r\n")),
  ],
  ["HEAD with a body", HELLO, dropped("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), HEAD],
  [
    "HEAD with an answer as its body",
    ok(`Content-Length: ${POISON.length}`) + POISON,
    dropped(`HTTP/1.1 200 OK\r\ncontent-length: ${POISON.length}\r\n\r\n`),
    HEAD,
  ],
  ["HEAD with chunks", chunked("5\r\nhello\r\n0\r\n\r\n"), dropped("HTTP/1.1 200 OK\r\n\r\n"), HEAD],
  [
    "204 with a body",
    `HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello`,
    dropped("HTTP/1.1 204 No Content\r\n\r\n"),
  ],
  [
    "204 with chunks",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    dropped("HTTP/1.1 204 No Content\r\n\r\n"),
  ],
  [
    "204 with an answer behind it",
    `HTTP/1.1 204 No Content\r\n\r\n${POISON}`,
    dropped("HTTP/1.1 204 No Content\r\n\r\n"),
  ],
  [
    "304 with a body",
    `HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello`,
    dropped("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
  ],
  [
    "205 with a body behind its length",
    `HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\nhello`,
    dropped("HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
  ],
  ["HEAD with a length", ok("Content-Length: 5"), kept("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), HEAD],
  [
    "204 with a length",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    kept("HTTP/1.1 204 No Content\r\n\r\n"),
  ],
  [
    "304 with a length",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    kept("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
  ],
  [
    "trailers that frame",
    chunked("5\r\nhello\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nSet-Cookie: a\r\nX-Ok: 1\r\n\r\n"),
    kept(chunked("5\r\nhello\r\n0\r\nx-ok: 1\r\n\r\n")),
  ],
];

export const responseAttacks: readonly ResponseAttack[] = [
  ...statusLines,
  ...fields,
  ...interim,
  ...bodies,
  ...behind,
].map(([what, bytes, verdict, options]) => ({ what, bytes, verdict, ...options }));
