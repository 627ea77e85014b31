import { continuation, data, type Fields, frame, headers, request } from "../harness/h2-frames.ts";
import { badLengthValues, PART, show, unclearCodings, unknownCodings } from "./malformed.ts";

/*
 * Requests of HTTP/2 that have been used, or could be, to make an upstream of HTTP/1 see another message than the proxy did, and
 * what becomes of each. HTTP/2 counts lengths, so that any character fits anywhere: what HTTP/1 would read otherwise must not
 * get through.
 */

export type H2Verdict =
  /** Nothing is sent on: the stream or the connection ends, or an answer says so. */
  | { readonly type: "refused" }
  /** Its head may have gone on before its body turned out wrong; what went on is never complete. */
  | { readonly type: "cut" }
  /** Sent on in these bytes, which have one meaning. */
  | { readonly type: "forwarded"; readonly as: string };

export interface H2RequestAttack {
  readonly what: string;
  /** On stream 1 of a connection that has begun. */
  readonly frames: readonly Buffer[];
  readonly verdict: H2Verdict;
}

type Row = readonly [what: string, frames: Buffer | readonly Buffer[], verdict: H2Verdict];

const REFUSED: H2Verdict = { type: "refused" };
const CUT: H2Verdict = { type: "cut" };
const forwarded = (as: string): H2Verdict => ({ type: "forwarded", as });
const sentGet = (...lines: readonly string[]): H2Verdict =>
  forwarded(`GET / HTTP/1.1\r\nhost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
const sentChunked = (body: string): H2Verdict =>
  forwarded(`POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${body}`);

const get = (...more: Fields): Buffer => headers(1, request("/", more));
const post = (...more: Fields): Buffer => headers(1, request("/", more, "POST"), { endStream: false });
const instead = (name: string, value: string): Buffer =>
  headers(
    1,
    request().map(([found, before]) => [found, found === name ? value : before]),
  );
const without = (name: string, ...more: Fields): Buffer =>
  headers(1, [...request().filter(([found]) => found !== name), ...more]);

const BODY = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
/** What stands behind a line break that gets through. */
const SMUGGLED = "\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
const BREAKS = ["\r\n", "\n", "\r", "\0", "\r\n\r\n", SMUGGLED, "\r\ntransfer-encoding: chunked"];

const lengths: readonly Row[] = [
  ["a length above the body", [post(["content-length", "6"]), data(1, "hello", true)], CUT],
  ["a length below the body", [post(["content-length", "4"]), data(1, "hello", true)], CUT],
  ["a length of 0 and a body", [post(["content-length", "0"]), data(1, "GET /smuggled HTTP/1.1\r\n\r\n", true)], CUT],
  ["a length, and no body", get(["content-length", "5"]), REFUSED],
  ["two lengths", [post(["content-length", "5"], ["content-length", "6"]), data(1, "hello", true)], REFUSED],
  ["the same length twice", [post(["content-length", "5"], ["content-length", "5"]), data(1, "hello", true)], REFUSED],
  ...badLengthValues
    .filter((value) => value.trim() !== "5")
    .map(
      (value): Row => [`the length ${show(value)}`, [post(["content-length", value]), data(1, "hello", true)], REFUSED],
    ),
  [
    "a length that fits",
    [post(["content-length", "5"]), data(1, "he"), data(1, "llo", true)],
    forwarded("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"),
  ],
  [
    "a body that looks like a request",
    [post(["content-length", String(BODY.length)]), data(1, BODY, true)],
    forwarded(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`),
  ],
  [
    "a body without length that looks like chunks",
    [post(), data(1, "0\r\n\r\n", true)],
    sentChunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
  ],
];

const connectionFields: readonly Row[] = [
  ...["chunked", "identity", ...unclearCodings, ...unknownCodings].map(
    (value): Row => [
      `transfer-encoding: ${show(value)}`,
      [post(["transfer-encoding", value]), data(1, "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n", true)],
      REFUSED,
    ],
  ),
  ...(
    [
      ["connection", "close"],
      ["connection", "keep-alive, x"],
      ["connection", "content-length"],
      ["keep-alive", "timeout=5"],
      ["proxy-connection", "keep-alive"],
      ["upgrade", "h2c"],
      ["upgrade", "websocket"],
      ["te", "gzip"],
      ["te", "trailers, chunked"],
      ["te", "chunked"],
    ] as const
  ).map(([name, value]): Row => [`${name}: ${value}`, get([name, value]), REFUSED]),
  ["te: trailers", get(["te", "trailers"]), sentGet("te: trailers", "connection: te")],
  // Without connection and upgrade beside it, it asks for nothing.
  ["http2-settings", get(["http2-settings", "AAMAAABk"]), sentGet("http2-settings: AAMAAABk")],
];

const fields: readonly Row[] = [
  ...BREAKS.flatMap((text): Row[] => [
    [`${show(text)} in a value`, get(["x", `a${text}`]), REFUSED],
    [`${show(text)} before a value`, get(["x", `${text}a`]), REFUSED],
    [`${show(text)} in a name`, get([`x${text}`, "a"]), REFUSED],
    [`${show(text)} in :path`, instead(":path", `/${text}`), REFUSED],
    [`${show(text)} in :method`, instead(":method", `GET${text}`), REFUSED],
    [`${show(text)} in :authority`, instead(":authority", `a${text}`), REFUSED],
    [`${show(text)} in :scheme`, instead(":scheme", `http${text}`), REFUSED],
    [`${show(text)} in host`, without(":authority", ["host", `a${text}`]), REFUSED],
    [`${show(text)} in a crumb`, get(["cookie", `a=b${text}`], ["cookie", "c=d"]), REFUSED],
  ]),
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
    .filter((byte) => !/[!#$%&'*+\-.^_`|~0-9a-z]/.test(byte))
    .map((byte): Row => [`${show(byte)} in a field's name`, get([`x${byte}y`, "z"]), REFUSED]),
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
    .filter((byte) => !/[\t\x20-\x7e\x80-\xff]/.test(byte))
    .map((byte): Row => [`${show(byte)} in a field's value`, get(["x", `y${byte}z`]), REFUSED]),
  ["the name transfer-encoding with a capital", get(["Transfer-Encoding", "chunked"]), REFUSED],
  ["the name content-length with a space", get(["content-length ", "5"]), REFUSED],
  ["a name that is a whole line", get(["x: y\r\ntransfer-encoding", "chunked"]), REFUSED],
  ["a colon before a name", get([":transfer-encoding", "chunked"]), REFUSED],
  ["an empty name", get(["", "x"]), REFUSED],
  ["obs-text in a value", get(["x", "\x80\xff"]), sentGet("x: \x80\xff")],
  ["every token character in a name", get(["!#$%&'*+-.^_`|~09az", "1"]), sentGet("!#$%&'*+-.^_`|~09az: 1")],
  ["an empty value", get(["x", ""]), sentGet("x: ")],
];

const heads: readonly Row[] = [
  ..."/ HTTP/1.1‖/ HTTP/1.1\r\nhost: b‖/a b‖/a\tb‖/ ‖ /‖/\0‖/\x7f‖/\xe9‖/\x80‖a‖‖*‖http://b/‖http://a/‖//\n‖/#‖/a#b‖\\‖?q‖:80‖../‖%2f"
    .split(PART)
    .map((path): Row => [`the path ${show(path)}`, instead(":path", path), REFUSED]),
  ...'//‖//evil.example/x‖/..‖/%0d%0aX:y‖/%00‖/%‖/a;b‖/"<>^`{|}‖/\\‖/?a=http://b/‖/:‖/@'
    .split(PART)
    .map(
      (path): Row => [
        `the path ${show(path)}`,
        instead(":path", path),
        forwarded(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`),
      ],
    ),
  ..."GET /smuggled HTTP/1.1‖GET / HTTP/1.1\r\nhost: b\r\n\r\nGET‖GE T‖ GET‖GET ‖get‖Get‖FOO‖‖G\0T‖GET\t‖G(T‖GET:‖\xc7ET‖PRI‖CONNECT"
    .split(PART)
    .map((method): Row => [`the method ${show(method)}`, instead(":method", method), REFUSED]),
  ...'a b‖a\tb‖a,b‖a/b‖a/‖/a‖u@a‖u:p@a‖@a‖a@‖a:b‖a:80:80‖a:65536‖a:-1‖:80‖:‖[::1‖::1‖[::1]x‖a#b‖a?b‖a\\b‖"a"‖<a>‖\xe9‖a\xff‖http://a‖a:80,a‖ a‖a ‖‖a%zz'
    .split(PART)
    .flatMap((authority): Row[] => [
      [`the authority ${show(authority)}`, instead(":authority", authority), REFUSED],
      [`the host ${show(authority)} alone`, without(":authority", ["host", authority]), REFUSED],
      [`the host ${show(authority)} beside an authority`, get(["host", authority]), REFUSED],
    ]),
  ..."ftp‖file‖javascript‖ws‖http://evil/‖http ‖ http‖HTTP/1.1‖‖h\0ttp"
    .split(PART)
    .map((scheme): Row => [`the scheme ${show(scheme)}`, instead(":scheme", scheme), REFUSED]),
  ["another host than the authority", get(["host", "b"]), REFUSED],
  ["the same host as the authority", get(["host", "a"]), sentGet()],
  ["two hosts", without(":authority", ["host", "a"], ["host", "b"]), REFUSED],
  ["the same host twice", without(":authority", ["host", "a"], ["host", "a"]), REFUSED],
  ["host alone", without(":authority", ["host", "a"]), sentGet()],
  ["neither host nor authority", without(":authority"), REFUSED],
  ["two authorities", get([":authority", "b"]), REFUSED],
  ["a pseudo-field behind a field", headers(1, [["x", "y"], ...request()]), REFUSED],
  ["an unknown pseudo-field", get([":x", "y"]), REFUSED],
  ["a status", get([":status", "200"]), REFUSED],
  ["CONNECT with a path", headers(1, request("/", [], "CONNECT")), REFUSED],
  [
    "CONNECT without a port",
    headers(
      1,
      [
        [":method", "CONNECT"],
        [":authority", "a"],
      ],
      { endStream: false },
    ),
    REFUSED,
  ],
  [
    "CONNECT that nothing allows",
    headers(
      1,
      [
        [":method", "CONNECT"],
        [":authority", "a:80"],
      ],
      { endStream: false },
    ),
    REFUSED,
  ],
  [
    "an extended CONNECT that was not announced",
    headers(1, request("/", [[":protocol", "websocket"]], "CONNECT"), { endStream: false }),
    REFUSED,
  ],
  ["a protocol without CONNECT", headers(1, [[":protocol", "websocket"], ...request()]), REFUSED],
  ["OPTIONS *, for which there is no route", headers(1, request("*", [], "OPTIONS")), REFUSED],
  ["crumbs of a cookie", get(["cookie", "a=b"], ["x", "y"], ["cookie", "c=d"]), sentGet("cookie: a=b; c=d", "x: y")],
  ["an expectation that nobody knows", [post(["expect", "200-ok"]), data(1, "hello", true)], REFUSED],
];

const trailers: readonly Row[] = [
  [
    "trailers",
    [post(), data(1, "hello"), headers(1, [["x-ok", "1"]])],
    sentChunked("5\r\nhello\r\n0\r\nx-ok: 1\r\n\r\n"),
  ],
  [
    "trailers that frame and route",
    [
      post(),
      data(1, "hello"),
      headers(1, [
        ["content-length", "9"],
        ["host", "b"],
        ["authorization", "t"],
        ["trailer", "z"],
        ["x-ok", "1"],
      ]),
    ],
    sentChunked("5\r\nhello\r\n0\r\nx-ok: 1\r\n\r\n"),
  ],
  ...(
    [
      [":path", "/"],
      [":method", "GET"],
      [":status", "200"],
      [":x", "y"],
    ] as const
  ).map((field): Row => [`${field[0]} in trailers`, [post(), data(1, "hello"), headers(1, [field])], CUT]),
  ...(["transfer-encoding", "connection", "upgrade", "keep-alive", "proxy-connection"] as const).map(
    (name): Row => [`${name} in trailers`, [post(), data(1, "hello"), headers(1, [[name, "chunked"]])], CUT],
  ),
  ...BREAKS.flatMap((text): Row[] => [
    [`${show(text)} in a trailer's value`, [post(), data(1, "hello"), headers(1, [["x", `a${text}`]])], CUT],
    [`${show(text)} in a trailer's name`, [post(), data(1, "hello"), headers(1, [[`x${text}`, "a"]])], CUT],
  ]),
  ["a capital in a trailer's name", [post(), data(1, "hello"), headers(1, [["X", "a"]])], CUT],
  [
    "trailers that do not end the stream",
    [post(), data(1, "hello"), headers(1, [["x", "a"]], { endStream: false })],
    CUT,
  ],
  [
    "trailers behind a length that is not reached",
    [post(["content-length", "6"]), data(1, "hello"), headers(1, [["x", "a"]])],
    CUT,
  ],
];

const cutFrames: readonly Row[] = [
  [
    "RST_STREAM within a body of a known length",
    [post(["content-length", "10"]), data(1, "hello"), frame(3, 0, 1, "\0\0\0\x08")],
    CUT,
  ],
  ["RST_STREAM within a body of unknown length", [post(), data(1, "hello"), frame(3, 0, 1, "\0\0\0\x08")], CUT],
  [
    "a head in three pieces",
    [
      headers(1, Buffer.from(`\0\x07:method\x03GET\0\x07:scheme\x04http\0\x05:pa`, "latin1"), { endHeaders: false }),
      continuation(1, "th\x01/\0\x0a:autho", false),
      continuation(1, "rity\x01a"),
    ],
    sentGet(),
  ],
  ["padding is not body", [post(), frame(0, 9, 1, "\x05hello\0\0\0\0\0")], sentChunked("5\r\nhello\r\n0\r\n\r\n")],
];

export const h2RequestAttacks: readonly H2RequestAttack[] = [
  ...lengths,
  ...connectionFields,
  ...fields,
  ...heads,
  ...trailers,
  ...cutFrames,
].map(([what, frames, verdict]) => ({ what, frames: Array.isArray(frames) ? frames : [frames as Buffer], verdict }));
