import { badLengthValues, brokenChunks, brokenLines, PART, show, unclearCodings, unknownCodings } from "./malformed.ts";

/*
 * Requests that have been used, or could be, to make two recipients see different messages, and what becomes of each.
 * They are bytes: a character is a byte.
 */

/** What has to come of a request. */
export type Verdict =
  /** Refused with this status, the connection closed, nothing sent on. */
  | { readonly type: "refused"; readonly status: number }
  /** Its head may have gone on before its body turned out wrong: refused so, and what went on is never complete. */
  | { readonly type: "cut"; readonly status: number }
  /**
   * Sent on in these bytes, which have one meaning. `then` is the status with which what follows it is refused; without
   * it the connection lives on.
   */
  | { readonly type: "forwarded"; readonly as: string; readonly then?: number };

export interface RequestAttack {
  readonly what: string;
  readonly bytes: string;
  readonly verdict: Verdict;
  /** It passes the codec; the sidecar behind it refuses. */
  readonly bySidecar?: true;
}

type Row = readonly [what: string, bytes: string, verdict: Verdict];

export const refused = (status = 400): Verdict => ({ type: "refused", status });
const cut = (status = 400): Verdict => ({ type: "cut", status });
const forwarded = (as: string, then?: number): Verdict =>
  then === undefined ? { type: "forwarded", as } : { type: "forwarded", as, then };

/** A head of these lines, with an ordinary Host. */
const head = (line: string, ...fields: readonly string[]): string =>
  `${[line, "Host: a", ...fields].map((text) => `${text}\r\n`).join("")}\r\n`;
const get = (...fields: readonly string[]): string => head("GET / HTTP/1.1", ...fields);
const post = (...fields: readonly string[]): string => head("POST / HTTP/1.1", ...fields);
const withHost = (...hosts: readonly string[]): string =>
  `GET / HTTP/1.1\r\n${hosts.map((host) => `Host: ${host}\r\n`).join("")}\r\n`;
const chunked = (body: string): string => `${post("Transfer-Encoding: chunked")}${body}`;

const sentGet = (...fields: readonly string[]): string =>
  `GET / HTTP/1.1\r\nhost: a\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;
const sentLength = (length: number, body: string): string =>
  `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n${body}`;
const sentChunked = (body: string): string => `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${body}`;

const HELLO = "5\r\nhello\r\n0\r\n\r\n";
const badCodings: readonly Row[] = [
  ...unclearCodings.map(
    (value): Row => [`the coding ${show(value)}`, post(`Transfer-Encoding: ${value}`) + HELLO, refused()],
  ),
  ...unknownCodings.map(
    (value): Row => [`the coding ${show(value)}`, post(`Transfer-Encoding: ${value}`) + HELLO, refused(501)],
  ),
  ["chunked twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + HELLO, refused()],
  ["chunked, then nonsense", post("Transfer-Encoding: chunked", "Transfer-Encoding: x") + HELLO, refused()],
  ["nonsense, then chunked", post("Transfer-Encoding: x", "Transfer-Encoding: chunked") + HELLO, refused(501)],
  ["chunked, then an empty one", post("Transfer-Encoding: chunked", "Transfer-Encoding:") + HELLO, refused()],
  ["chunked twice in two cases", post("Transfer-Encoding: chunked", "transfer-encoding: identity") + HELLO, refused()],
  ["chunked in HTTP/1.0", head("POST / HTTP/1.0", "Transfer-Encoding: chunked") + HELLO, refused()],
];

const brokenFields: readonly Row[] = [
  ...brokenLines("Transfer-Encoding", "chunked"),
  ...brokenLines("Content-Length", "5"),
  ...brokenLines("Host", "b"),
  ...brokenLines("X-Any", "y"),
].map((line) => [`the line ${show(line)}`, `${post(line)}hello`, refused()]);

const badLengths: readonly Row[] = [
  ...badLengthValues.map(
    (value): Row => [`the length ${show(value)}`, `${post(`Content-Length: ${value}`)}hello`, refused()],
  ),
  ["two lengths", `${post("Content-Length: 5", "Content-Length: 6")}hello`, refused()],
  ["two lengths, the other way", `${post("Content-Length: 6", "Content-Length: 5")}hello`, refused()],
  ["equal lengths", `${post("Content-Length: 5", "Content-Length: 5")}hello`, refused()],
  ["equal lengths in two cases", `${post("Content-Length: 5", "content-length: 5")}hello`, refused()],
  ["a length and an empty one", `${post("Content-Length: 5", "Content-Length:")}hello`, refused()],
  ["lengths far apart", `${post("Content-Length: 5", "X: y", "CONTENT-LENGTH: 0")}hello`, refused()],
  ["equal zeros", post("Content-Length: 0", "Content-Length: 0"), refused()],
];

const lengthAndCoding: readonly Row[] = ["0", "3", "5", "15", "44"].flatMap((length) =>
  ["chunked", "Chunked", "xchunked", "identity", "gzip, chunked", "chunked, identity", ""].flatMap((coding): Row[] => {
    const [a, b] = [`Content-Length: ${length}`, `Transfer-Encoding: ${coding}`];
    return [
      [`length ${length}, then coding "${coding}"`, post(a, b) + HELLO, refused()],
      [`coding "${coding}", then length ${length}`, post(b, a) + HELLO, refused()],
    ];
  }),
);

const hosts: readonly Row[] = [
  ["no Host", withHost(), refused()],
  ["an empty Host", withHost(""), refused()],
  ["no Host beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", refused()],
  ["two Hosts", withHost("a", "b"), refused()],
  ["the same Host twice", withHost("a", "a"), refused()],
  ["two Hosts in two cases", "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", refused()],
  ["Host and an empty one", withHost("a", ""), refused()],
  ["two Hosts beside an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", refused()],
  ...'a b‖a\tb‖a,b‖a, b‖a/b‖a/‖/a‖u@a‖u:p@a‖@a‖a@‖a:b‖a:80:80‖a:65536‖a:99999‖a:000080‖a:-1‖a:+80‖a:8 0‖a:0x50‖a:80/‖:80‖:‖[::1‖::1‖[::1]x‖[::1]:x‖[::1]80‖[:]‖[]‖[::g]‖[::1%25eth0]‖[v1.a]‖[a]‖a#b‖a?b‖a\\b‖a%zz‖a%‖a%1‖"a"‖<a>‖a|b‖{a}‖a^b‖a`b‖\xe9‖a\xff‖\xc2\xa0a‖a\x85‖[::1]]‖[[::1]]‖http://a‖a:80,a'
    .split(PART)
    .map((value): Row => [`the host ${show(value)}`, withHost(value), refused()]),
  ["a bad Host beside a good absolute target", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", refused()],
  [
    "another Host than the absolute target's",
    "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n",
    forwarded("GET /x HTTP/1.1\r\nhost: a\r\n\r\n"),
  ],
  ["a Host with blanks around it", "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", forwarded(sentGet())],
];

const requestLines: readonly Row[] = [
  ..."GET / HTTP/1.2‖GET / HTTP/2.0‖GET / HTTP/0.9‖GET / HTTP/9.9‖GET / HTTP/3.0‖GET / HTTP/0.0"
    .split(PART)
    .map((line): Row => [`the line ${show(line)}`, head(line), refused(505)]),
  ..."GET /‖GET‖GET / http/1.1‖GET / Http/1.1‖GET / HTTP/1.1 ‖GET / HTTP/1.1\t‖GET / HTTP/1.10‖GET / HTTP/11‖GET / HTTP/1‖GET / HTTP/1.‖GET / HTTP/.1‖GET / HTTP/01.1‖GET / HTTP/1.01‖GET / HTTP/ 1.1‖GET / HTTP /1.1‖GET / HTTP/1 .1‖GET / HTTP/1,1‖GET / HTTP/-1.1‖GET / HTTP/+1.1‖GET / HTTP/a.b‖GET / HTTP-1.1‖GET / HTTP‖GET / HTTPS/1.1‖GET / RTSP/1.0‖GET / ICE/1.0‖GET / XHTTP/1.1‖GET / HTTP/1.1 HTTP/1.1‖GET / HTTP/1.1x‖GET / \xcaTTP/1.1‖ GET / HTTP/1.1‖\tGET / HTTP/1.1‖GET  / HTTP/1.1‖GET /  HTTP/1.1‖GET  /  HTTP/1.1‖GET\t/ HTTP/1.1‖GET /\tHTTP/1.1‖GET\t/\tHTTP/1.1‖GET\x0b/ HTTP/1.1‖GET /\x0cHTTP/1.1‖GET\xa0/ HTTP/1.1‖GET /\xa0HTTP/1.1‖GET\x85/ HTTP/1.1‖GET/ HTTP/1.1‖GET /HTTP/1.1‖/ HTTP/1.1‖ / HTTP/1.1‖GET HTTP/1.1‖GET  HTTP/1.1‖GET / / HTTP/1.1‖GET /a b HTTP/1.1‖GET /a\tb HTTP/1.1‖HTTP/1.1 200 OK‖HTTP/1.1 GET /‖GET / GET / HTTP/1.1‖GET /\r HTTP/1.1‖GET /\n HTTP/1.1‖GET / HTTP/1.1\0‖GET\0/ HTTP/1.1‖\0GET / HTTP/1.1‖GET /\0 HTTP/1.1‖\rGET / HTTP/1.1‖\nGET / HTTP/1.1‖\xef\xbb\xbfGET / HTTP/1.1‖\x16\x03\x01\x02\0\x01‖\x80\x2e\x01\x03\x01"
    .split(PART)
    .map((line): Row => [`the line ${show(line)}`, head(line), refused()]),
  ["HTTP/0.9", "GET /\r\n", refused()],
  ["HTTP/0.9 with LF", "GET /\n", refused()],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused(505)],
  ["the preface as HTTP/1.1", head("PRI * HTTP/1.1"), refused(501)],
  ["empty lines without end", "\r\n".repeat(6) + get(), refused()],
  ["one empty line before it", `\r\n${get()}`, forwarded(sentGet())],
];

const methods: readonly Row[] = [
  ..."FOO‖get‖Get‖gET‖GETX‖XGET‖GETGET‖ABCDEFGHIJKLMNOPQRSTUVWXYZ‖G‖G-E-T‖$GET‖GET'‖_‖PRI‖SSTP_DUPLEX_POST‖TRACK‖DEBUG"
    .split(PART)
    .map((method): Row => [`the method ${show(method)}`, head(`${method} / HTTP/1.1`), refused(501)]),
  ...'G@T‖GE(T‖GET:‖GE,T‖G/T‖GE[T‖GE{T‖G"T‖G=T‖G\\T‖G;T‖G?T‖\xc7ET‖GET\x80‖GE\xffT‖<GET>'
    .split(PART)
    .map((method): Row => [`the method ${show(method)}`, head(`${method} / HTTP/1.1`), refused()]),
  ["a method of 8,000 letters", head(`${"A".repeat(8000)} / HTTP/1.1`), refused(501)],
  ["TRACE", head("TRACE / HTTP/1.1"), forwarded("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n")],
  ["M-SEARCH", head("M-SEARCH / HTTP/1.1"), forwarded("M-SEARCH / HTTP/1.1\r\nhost: a\r\n\r\n")],
  [
    "HEAD with a body",
    `${head("HEAD / HTTP/1.1", "Content-Length: 5")}hello`,
    forwarded("HEAD / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"),
  ],
  [
    "GET with a body that looks like a request",
    `${get("Content-Length: 38")}GET /smuggled HTTP/1.1\r\nHost: victim\r\n`,
    forwarded(`GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: victim\r\n`),
  ],
  [
    "GET with a chunked body",
    `${get("Transfer-Encoding: chunked")}${HELLO}`,
    forwarded(`GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${HELLO}`),
  ],
];

const target = (text: string): string => head(`GET ${text} HTTP/1.1`);
const targets: readonly Row[] = [
  ..."a‖a/b‖?q‖..‖./‖http:‖http:/‖http://‖http:///‖http:///x‖http:a‖http:/a‖http://?q‖http:// ‖http://u@a/‖http://u:p@a/‖http://a@b:80@c/‖http://a:99999/‖http://a:-1/‖http://a:x/‖http://a:80:80/‖http://[::1/‖http://[::g]/‖http://[]/‖http://a,b/‖http://a\\b/‖http://\\/‖http://a#f‖http://a%zz/‖ftp://a/‖file:///etc/passwd‖ws://a/‖javascript:alert(1)‖gopher://a‖xhttp://a/‖https:a‖://a‖*‖**‖/*#‖/#‖/a#b‖#‖/\xe9‖/\xff‖/\x80‖/\x7f‖\\‖\\a‖a:80‖[::1]:80‖@‖/\x01‖/\x1f‖\x85/"
    .split(PART)
    .map((text): Row => [`the target ${show(text)}`, target(text), refused()]),
  ...'//‖//evil.example/x‖/..‖/../../etc/passwd‖/%2e%2e/‖/%00‖/%0d%0aX:y‖/%‖/%zz‖/a;b‖/"<>^`{|}‖/a//b‖/.‖/;/‖/?‖/??‖/?a=http://b/‖/\\‖/:‖/@‖/~‖/*'
    .split(PART)
    .map(
      (text): Row => [`the target ${show(text)}`, target(text), forwarded(`GET ${text} HTTP/1.1\r\nhost: a\r\n\r\n`)],
    ),
  ["an absolute target of another host", target("http://b/x"), forwarded("GET /x HTTP/1.1\r\nhost: b\r\n\r\n")],
  ["an absolute target in capitals", target("HTTP://B/x"), forwarded("GET /x HTTP/1.1\r\nhost: B\r\n\r\n")],
  ["an absolute target without a path", target("http://b"), forwarded("GET / HTTP/1.1\r\nhost: b\r\n\r\n")],
  ["an absolute target with only a query", target("http://b?q"), forwarded("GET /?q HTTP/1.1\r\nhost: b\r\n\r\n")],
  ["two slashes behind the authority", target("http://b//c/x"), forwarded("GET //c/x HTTP/1.1\r\nhost: b\r\n\r\n")],
  ["OPTIONS **", head("OPTIONS ** HTTP/1.1"), refused()],
  ["CONNECT without a port", head("CONNECT a HTTP/1.1"), refused()],
  ["CONNECT with an empty port", head("CONNECT a: HTTP/1.1"), refused()],
  ["CONNECT of a path", head("CONNECT / HTTP/1.1"), refused()],
  ["CONNECT of a URI", head("CONNECT http://a:80/ HTTP/1.1"), refused()],
  ["CONNECT with user information", head("CONNECT u@a:80 HTTP/1.1"), refused()],
  ["CONNECT with a length", `${head("CONNECT a:80 HTTP/1.1", "Content-Length: 5")}hello`, refused()],
  ["CONNECT with chunks", `${head("CONNECT a:80 HTTP/1.1", "Transfer-Encoding: chunked")}${HELLO}`, refused()],
];

const names: readonly Row[] = [
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
    .filter((byte) => !/[!#$%&'*+\-.^_`|~0-9A-Za-z:]/.test(byte))
    .map((byte): Row => [`${show(byte)} in a field's name`, get(`X${byte}Y: z`), refused()]),
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
    .filter((byte) => !/[\t\x20-\x7e\x80-\xff]/.test(byte))
    .map((byte): Row => [`${show(byte)} in a field's value`, get(`X: y${byte}z`), refused()]),
  ["obs-text in a value", get("X: \x80\xff\x85"), forwarded(sentGet("x: \x80\xff\x85"))],
  ["every token character in a name", get("!#$%&'*+-.^_`|~09Az: 1"), forwarded(sentGet("!#$%&'*+-.^_`|~09az: 1"))],
  [
    "names that only look like a length",
    post("Content_Length: 5", "ContentLength: 5"),
    forwarded("POST / HTTP/1.1\r\nhost: a\r\ncontent_length: 5\r\ncontentlength: 5\r\ncontent-length: 0\r\n\r\n"),
  ],
  ["101 fields", get(...Array.from({ length: 100 }, (_, i) => `x-${i}: 1`)), refused(431)],
  ["a field of 61 KiB", get(`X: ${"y".repeat(61 * 1024)}`), refused(431)],
  ["a name of 61 KiB", get(`${"x".repeat(61 * 1024)}: y`), refused(431)],
  ["a target of 61 KiB", target(`/${"x".repeat(61 * 1024)}`), refused(431)],
  ["a method of 61 KiB", head(`${"X".repeat(61 * 1024)} / HTTP/1.1`), refused(431)],
  ["a head without end", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(12_000)}`, refused(431)],
];

const chunks: readonly Row[] = [
  ...brokenChunks.map(([what, body, status = 400]): Row => [what, chunked(body), cut(status)]),
  [
    "chunk sizes in capitals, with zeros and extensions",
    chunked(`0A;a;b=c;d="e \\" f"\r\n0123456789\r\n000\r\n\r\n`),
    forwarded(sentChunked("a\r\n0123456789\r\n0\r\n\r\n")),
  ],
  [
    "trailers that frame and route",
    chunked(
      "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nConnection: close\r\nUpgrade: x\r\nTE: y\r\nTrailer: z\r\nAuthorization: t\r\nX-Ok: 1\r\n\r\n",
    ),
    forwarded(sentChunked("0\r\nx-ok: 1\r\n\r\n")),
  ],
];

const hops: readonly Row[] = [
  ..."content-length‖Content-Length‖keep-alive, content-length‖content-length, upgrade‖transfer-encoding‖host‖x-forwarded-for‖close,x-forwarded-proto‖:authority‖a,b,c,d,e,f,g,h,i,j‖,,,,,,,,,"
    .split(PART)
    .map(
      (value): Row => [`Connection: ${value}`, `${post(`Connection: ${value}`, "Content-Length: 5")}hello`, refused()],
    ),
  ..."content-type‖authorization, x-other‖x-envoy-internal‖x-request-id‖keep-alive, cookie‖a b‖,‖te"
    .split(PART)
    .map(
      (value): Row => [
        `Connection: ${value}`,
        `${post(`Connection: ${value}`, "Authorization: x", "Content-Length: 5")}hello`,
        forwarded("POST / HTTP/1.1\r\nhost: a\r\nauthorization: x\r\ncontent-length: 5\r\n\r\nhello"),
      ],
    ),
  [
    "a connection option that names a field",
    get("Connection: x-secret", "X-Secret: 1", "X-Other: 2"),
    forwarded(sentGet("x-other: 2")),
  ],
  [
    "fields of the connection",
    get("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Upgrade: websocket"),
    forwarded(sentGet()),
  ],
  [
    "h2c",
    get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    forwarded(sentGet()),
  ],
  [
    "h2c in capitals",
    get("Connection: upgrade,http2-settings", "Upgrade: H2C", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    forwarded(sentGet()),
  ],
  [
    "h2c with a body",
    `${post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM", "Content-Length: 5")}hello`,
    forwarded(sentLength(5, "hello")),
  ],
  [
    "an upgrade with a length",
    `${post("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5")}hello`,
    refused(),
  ],
  [
    "an upgrade with chunks",
    `${post("Connection: Upgrade", "Upgrade: websocket", "Transfer-Encoding: chunked")}${HELLO}`,
    refused(),
  ],
  ["an upgrade to nonsense", get("Connection: Upgrade", "Upgrade: a b"), refused()],
  ["an upgrade to a quoted protocol", get("Connection: Upgrade", 'Upgrade: "websocket"'), refused()],
];

const prefixes: readonly Row[] = [
  ["garbage behind a request", `${get()}GARBAGE\r\n\r\n`, forwarded(sentGet(), 400)],
  [
    "garbage behind an empty body",
    `${get("Content-Length: 0")}GARBAGE\r\n\r\n`,
    forwarded("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 400),
  ],
  [
    "more bytes than the length",
    `${post("Content-Length: 5")}hello, world\r\n\r\n`,
    forwarded(sentLength(5, "hello"), 400),
  ],
  ["chunks without a coding", `${post("Content-Length: 0")}${HELLO}`, forwarded(sentLength(0, ""), 400)],
  ["one byte more than the length", `${post("Content-Length: 4")}hello\r\n\r\n`, forwarded(sentLength(4, "hell"), 400)],
  ["a byte behind the last chunk", `${chunked(HELLO)}x\r\n\r\n`, forwarded(sentChunked(HELLO), 400)],
  ["LF between requests", `${get()}\n${get()}`, forwarded(sentGet(), 400)],
  ["a space between requests", `${get()} ${get()}`, forwarded(sentGet(), 400)],
];

/** What passes the codec and is refused behind it. */
const bySidecar: readonly Row[] = [
  ["HTTP/1.0, which is not accepted unless configured", head("GET / HTTP/1.0"), refused(426)],
  ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", refused(426)],
  ["CONNECT that nothing allows", head("CONNECT a:80 HTTP/1.1"), refused(403)],
  ...[
    "x",
    "200-ok",
    "y 100-continue",
    "100-continue, x",
    "100-continue=1",
    ", 100-continue",
    "100 continue",
    "\xa0100-continue",
    "",
  ].map(
    (value): Row => [
      `the expectation ${show(value)}`,
      `${post(`Expect: ${value}`, "Content-Length: 5")}hello`,
      refused(417),
    ],
  ),
  ["two expectations", `${post("Expect: 100-continue", "Expect: x", "Content-Length: 5")}hello`, refused(417)],
];

/** At every place of a head, what never stands there but as the end of a line. */
const CONTROLS = ["\0", "\x01", "\x08", "\x0b", "\x0c", "\r", "\n", "\x1f", "\x7f"];
const ORDINARY = "POST /p?q HTTP/1.1\r\nHost: a\r\nX-A: b c\r\nContent-Length: 5\r\n\r\n";
const everywhere: readonly Row[] = CONTROLS.flatMap((byte) =>
  // Before the last LF another LF is the first byte of the body.
  Array.from({ length: ORDINARY.length - 1 }, (_, at): Row => {
    const bytes = `${ORDINARY.slice(0, at)}${byte}${ORDINARY.slice(at)}hello`;
    return [`${show(byte)} at ${at} of a head`, bytes, refused()];
  }),
);

const rows: readonly Row[] = [
  ...badCodings,
  ...brokenFields,
  ...badLengths,
  ...lengthAndCoding,
  ...hosts,
  ...requestLines,
  ...methods,
  ...targets,
  ...names,
  ...chunks,
  ...hops,
  ...prefixes,
  ...everywhere,
];

export const requestAttacks: readonly RequestAttack[] = [
  ...rows.map(([what, bytes, verdict]) => ({ what, bytes, verdict })),
  ...bySidecar.map(([what, bytes, verdict]) => ({ what, bytes, verdict, bySidecar: true as const })),
];
