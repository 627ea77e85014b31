import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { type RawMessage, RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";

const REQUESTS = 10_000;
const SEED = 0x4864_646c;
const CLIENTS = 16;

/**
 * The upstream's answer says all that it has seen of the request, and its shape follows from the request. So an answer that
 * is the same through the sidecar as without it shows that nothing was changed in either direction.
 */
test(`${REQUESTS} random requests get the same answer through the sidecar as without it, byte for byte`, async (t) => {
  const owner = lastFirst(t);
  const upstream = await RawUpstream.listen(owner);
  upstream.serve(async (peer) => {
    for (;;) await peer.send(answerTo(await peer.message()));
  });
  const bootstrap = staticBootstrap(
    [
      listener({
        name: "in",
        routes: inlineRoutes([virtualHost("*", "up")]),
        http: { server_header_transformation: "PASS_THROUGH" },
      }),
    ],
    [cluster("up", [upstream.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { concurrency: 2 });
  const port = await sidecar.port("in");
  const requests = fc.sample(anyRequest, { numRuns: REQUESTS, seed: SEED });

  let next = 0;
  const client = async (): Promise<void> => {
    const direct = await RawPeer.connect(upstream.port, owner);
    const through = await RawPeer.connect(port, owner);
    for (let index = next++; index < REQUESTS; index = next++) {
      const { bytes, bodyless } = requests[index]!; // as many as REQUESTS
      await Promise.all([direct.send(bytes), through.send(bytes)]);
      const [expected, actual] = [await direct.message({ bodyless }), await through.message({ bodyless })];
      assert.deepEqual(shown(actual), shown(expected), `request ${index}: ${JSON.stringify(bytes)}`);
    }
    assert.deepEqual([direct.waiting, through.waiting], [0, 0]);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
});

/** All of an answer but what a proxy adds or may frame anew (RFC 9110 §7.6, RFC 9112 §6.1). */
function shown({ startLine, headers, body, trailers, chunked }: RawMessage): unknown {
  const own = [...headers].filter(([name]) => !OF_THE_PROXY.test(name));
  return {
    startLine,
    headers: own,
    body: body.toString("latin1"),
    trailers: [...trailers],
    chunked: chunked && body.length > 0,
  };
}

const OF_THE_PROXY = /^(?:date|connection|transfer-encoding|traceparent|x-request-id|x-forwarded-.*|x-envoy-.*)$/;

// === the upstream

function answerTo(request: RawMessage): string {
  const seen = JSON.stringify([
    request.startLine,
    [...request.headers].filter(([name]) => !OF_THE_PROXY.test(name) && name !== "content-length"),
    request.body.toString("latin1"),
    [...request.trailers],
  ]);
  const digest = createHash("sha256").update(seen).digest();
  const status = [200, 200, 200, 201, 204, 206, 301, 304, 404, 418, 500, 599][digest[0]! % 12]!; // 32 bytes
  const reason = ["OK", "A+", "Not what you \xe4sked f\xf6r", "  two  spaces  "][digest[1]! % 4]!;
  const lines = [
    `HTTP/1.1 ${status} ${reason}`,
    `X-Seen: ${digest.toString("hex")}`,
    ...ANSWER_FIELDS[digest[2]! % 4]!,
  ];
  const repeated = seen.repeat(digest[3]! % 16 === 0 ? 40 : 1);
  const method = request.startLine.split(" ")[0];
  if (status === 204) return head(lines);
  const bodyless = method === "HEAD" || status === 304;
  if (digest[4]! % 2 === 0) return head([...lines, `Content-Length: ${repeated.length}`]) + (bodyless ? "" : repeated);
  if (bodyless) return head(lines);
  const at = digest[5]! % repeated.length;
  const chunks = [repeated.slice(0, at), repeated.slice(at)].filter((chunk) => chunk !== "");
  const trailers = digest[6]! % 3 === 0 ? "X-Sum: 1\r\nx-sum: 2\r\n" : "";
  const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("");
  return `${head([...lines, "Transfer-Encoding: chunked"])}${body}0\r\n${trailers}\r\n`;
}

const ANSWER_FIELDS: readonly (readonly string[])[] = [
  [],
  ["Set-Cookie: a=b; Path=/", "set-cookie: c=d", "SET-COOKIE: e=\xe9"],
  ['Content-Type: text/plain; charset="utf-8"', 'ETag: W/"x"', "Vary: *", "Server: theirs"],
  [
    "x-empty:",
    "X-Blank:    ",
    "X-Tab: a\tb",
    "X-Colon: a:b::c",
    "Location: http://b/\xff?q=%zz#f",
    "!#$%&'*+-.^_`|~: odd",
  ],
];

const head = (lines: readonly string[]): string => `${lines.join("\r\n")}\r\n\r\n`;

// === the requests

interface AnyRequest {
  readonly bytes: string;
  readonly bodyless: boolean;
}

const characters = (text: string, constraints: { minLength?: number; maxLength: number }): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...text.split("")), ...constraints });

const PRINTABLE = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i)).join("");
const OBS_TEXT = "\x80\x85\xa0\xe9\xff";
const IN_TARGET = "abzAZ019-._~!$&'()*+,;=:@/?%\"<>[]\\^`{|}";

const anyTarget = characters(IN_TARGET, { maxLength: 40 }).map((rest) => `/${rest}`);
const anyValue = characters(`${PRINTABLE}\t${OBS_TEXT}`, { maxLength: 60 }).map((text) =>
  text.replace(/^[ \t]+|[ \t]+$/g, ""),
);
const anyName = fc.oneof(
  characters("abcXYZ019-_.!#$%&'*+^`|~", { minLength: 1, maxLength: 12 }).map((text) => `X-T-${text}`),
  fc.constantFrom(
    "Accept",
    "accept-ENCODING",
    "Cookie",
    "Authorization",
    "Range",
    "If-None-Match",
    "User-Agent",
    "Referer",
  ),
);
const anyFields = fc.array(
  fc.tuple(anyName, fc.constantFrom("", " ", "  \t"), anyValue, fc.constantFrom("", " ")).map((parts) => {
    const [name, before, value, behind] = parts;
    return `${name}:${before}${value}${behind}`;
  }),
  { maxLength: 8 },
);
const anyBody = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 400,
});
const anyTrailers = fc.array(
  characters("abc019", { minLength: 1, maxLength: 6 }).map((text) => `X-Tr-${text}: ${text}`),
  { maxLength: 3 },
);
const inLength = fc.tuple(anyBody, fc.integer({ min: 1, max: 30 })).map(([body, times]) => {
  const whole = times > 28 ? body.repeat(times) : body;
  return { field: `Content-Length: ${whole.length}`, body: whole };
});
const inChunks = fc.tuple(fc.array(anyBody, { maxLength: 4 }), anyTrailers).map(([parts, trailers]) => ({
  field: "Transfer-Encoding: chunked",
  body: `${parts
    .filter((part) => part !== "")
    .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
    .join("")}0\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`,
}));

const anyRequest: fc.Arbitrary<AnyRequest> = fc
  .record({
    method: fc.constantFrom("GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"),
    target: anyTarget,
    fields: anyFields,
    content: fc.oneof(fc.constant(undefined), inLength, inChunks),
  })
  .map(({ method, target, fields, content }) => {
    const framing = content === undefined ? [] : [content.field];
    const lines = [`${method} ${target} HTTP/1.1`, "Host: a.example:80", ...fields, ...framing];
    return { bytes: head(lines) + (content?.body ?? ""), bodyless: method === "HEAD" };
  });
