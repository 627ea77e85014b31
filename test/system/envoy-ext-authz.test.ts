import assert from "node:assert/strict";
import { request as requestOverTls } from "node:https";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { TestAuthority } from "@heddle/net/testing";
import {
  type Check,
  GrpcAuthorizer,
  HttpAuthorizer,
  type HttpCheck,
  type HttpVerdict,
  type Verdict,
} from "../harness/authorizer.ts";
import { bytesOf } from "../harness/echo-server.ts";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import {
  cluster,
  http2Cluster,
  inlineRoutes,
  type Json,
  listener,
  staticBootstrap,
  tcpListener,
  tcpProxy,
} from "../harness/envoy-config.ts";
import { http1Asker, http2Asker, type Question } from "../harness/http-asker.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type RecordedRequest, Recorder } from "../harness/recorder.ts";
import { startSidecar } from "../harness/sidecar.ts";

/*
 * The same requests through an Envoy and through a sidecar of the same configuration, before the same services: what the services
 * are asked, what they make of the request, and what the client gets have to be the same.
 */

const TYPE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3";
const FILTER = "envoy.filters.http.ext_authz";

function extAuthz(fields: Json): Json {
  return { name: FILTER, typed_config: { "@type": `${TYPE}.ExtAuthz`, transport_api_version: "V3", ...fields } };
}

const grpc = {
  grpc_service: {
    envoy_grpc: { cluster_name: "authz" },
    timeout: "5s",
    initial_metadata: [{ key: "x-asked-for", value: "%REQ(:PATH)%" }],
  },
};
const http = (more: Json = {}): Json => ({
  http_service: {
    server_uri: { uri: "http://authz", cluster: "authz-http", timeout: "5s" },
    authorization_request: { headers_to_add: [{ key: "x-added", value: "1" }] },
    authorization_response: {
      allowed_upstream_headers: { patterns: [{ prefix: "x-up" }] },
      allowed_upstream_headers_to_append: { patterns: [{ prefix: "x-more" }] },
      allowed_client_headers_on_success: { patterns: [{ prefix: "x-cli" }] },
    },
    ...more,
  },
});
const body = (bytes: number, more: Json = {}): Json => ({ with_request_body: { max_request_bytes: bytes, ...more } });
const only = (...names: readonly string[]): Json => ({ patterns: names.map((exact) => ({ exact })) });

const FILTERS: Readonly<Record<string, Json>> = {
  plain: extAuthz({ ...grpc, route_metadata_context_namespaces: ["told", "nobody"] }),
  told: extAuthz({ ...grpc, include_peer_certificate: true, include_tls_session: true }),
  raw: extAuthz({ ...grpc, encode_raw_headers: true }),
  chosen: extAuthz({ ...grpc, allowed_headers: only("x-a", ":path"), disallowed_headers: only("x-b") }),
  body: extAuthz({ ...grpc, ...body(20) }),
  partial: extAuthz({ ...grpc, ...body(20, { allow_partial_message: true }) }),
  bytes: extAuthz({ ...grpc, ...body(20, { allow_partial_message: true, pack_as_bytes: true }) }),
  validated: extAuthz({ ...grpc, validate_mutations: true }),
  ruled: extAuthz({ ...grpc, decoder_header_mutation_rules: { disallow_expression: { regex: "x-no.*" } } }),
  http: extAuthz(http()),
  prefixed: extAuthz(http({ path_prefix: "/check" })),
  "http-told": extAuthz({ ...http(), allowed_headers: only("x-a") }),
  "http-body": extAuthz({ ...http(), ...body(20, { allow_partial_message: true }) }),
  open: extAuthz({ ...grpc, failure_mode_allow: true, failure_mode_allow_header_add: true }),
  teapot: extAuthz({ ...grpc, status_on_error: { code: "ServiceUnavailable" } }),
};

const to = { route: { cluster: "app" } };
const routes = inlineRoutes([
  {
    name: "any",
    domains: ["*"],
    typed_per_filter_config: {
      [FILTER]: { "@type": `${TYPE}.ExtAuthzPerRoute`, check_settings: { context_extensions: { a: "host", c: "3" } } },
    },
    routes: [
      {
        match: { prefix: "/tier" },
        ...to,
        metadata: { filter_metadata: { told: { a: [1, { b: null }], c: "é" }, kept: { secret: true } } },
        typed_per_filter_config: {
          [FILTER]: { "@type": `${TYPE}.ExtAuthzPerRoute`, check_settings: { context_extensions: { a: "1", b: "é" } } },
        },
      },
      { match: { prefix: "/" }, ...to },
    ],
  },
]);

/** One end of the comparison: what happened on one proxy. */
interface Outcome {
  readonly status: number | string;
  readonly headers: Json;
  readonly body: string;
  readonly check: unknown;
  readonly upstream: unknown;
}

/** Of hop and moment, or what one of the two adds to its own requests. */
const OWN = new Set([
  "connection",
  "content-length",
  "date",
  "server",
  "traceparent",
  "transfer-encoding",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-internal",
  "x-envoy-upstream-service-time",
  "x-forwarded-for",
  "x-request-id",
]);

function without<Value>(headers: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN.has(name)));
}

function comparableCheck({ attributes }: Check): unknown {
  const { source, destination, request, ...others } = attributes;
  const peer = (of: typeof source): unknown => ({ ...of, address: of.address.socket_address?.address });
  const { id: _, headers, header_map: list, size: _size, ...told } = request.http;
  const raw = list?.headers
    .map(({ key, raw_value: value }) => `${key}=${value.toString("latin1")}`)
    .filter((line) => !OWN.has(line.slice(0, line.indexOf("="))));
  const { raw_body: rawBody, ...plain } = told;
  return {
    source: peer(source),
    destination: peer(destination),
    http: { ...plain, rawBody: rawBody.toString("latin1"), headers: without(headers), raw: raw?.sort() },
    others,
  };
}

function comparableHttpCheck(check: HttpCheck): unknown {
  const { method, url, headers, body: bytes } = check;
  // Envoy joins the values of a name that come in several fields; ours go on as they came, and node:http joins them.
  const joined = Object.entries(headers).map(([name, value]) => [name, String(value).replaceAll(", ", ",")] as const);
  const named = { ...without(Object.fromEntries(joined)), length: headers["content-length"] };
  return { method, url, headers: named, body: bytes.toString("latin1") };
}

function comparableUpstream(request: RecordedRequest | undefined): unknown {
  if (request === undefined) return undefined;
  const headers = request.headers.filter(([name]) => !OWN.has(name)).map(([name, value]) => `${name}: ${value}`);
  const [path = "", query = ""] = request.url.split("?");
  // Envoy writes a query that it changes in the order of the names, and gives each an "=".
  const pairs = query === "" ? [] : query.split("&").map((pair) => (pair.includes("=") ? pair : `${pair}=`));
  return { method: request.method, path, query: pairs.sort(), headers: headers.sort(), body: request.body.toString() };
}

describe("ext_authz as Envoy does it", { skip: skipWithoutEnvoy }, () => {
  const suite = lastFirst({ after });
  const authority = new TestAuthority();
  const server = authority.issue({ commonName: "server", dns: ["server.test"], ips: ["127.0.0.1"] });
  const client = authority.issue({
    commonName: "client",
    uris: ["spiffe://mesh/ns/a/sa/client"],
    dns: ["client.test"],
  });
  const ports = new Map<string, readonly [envoy: number, ours: number]>();
  let asked: GrpcAuthorizer;
  let askedHttp: HttpAuthorizer;
  let app: Recorder;

  before(async () => {
    asked = await GrpcAuthorizer.listen(suite);
    askedHttp = await HttpAuthorizer.listen(suite);
    app = await Recorder.listen(suite);
    app.headers = { "x-app": ["1", "2"], "x-only": "app" };
    const overTls = {
      transport_socket: {
        name: "tls",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
          common_tls_context: {
            tls_certificates: [
              { certificate_chain: { inline_string: server.chain }, private_key: { inline_string: server.key } },
            ],
            validation_context: { trusted_ca: { inline_string: authority.certificate } },
          },
        },
      },
    };
    const listeners = Object.entries(FILTERS).map(([name, filter]) => listener({ name, routes, filters: [filter] }));
    const secure = listener({ name: "tls", routes, filters: [FILTERS["told"]!] });
    const [chain] = secure["filter_chains"] as readonly Json[];
    const gate = {
      name: "envoy.filters.network.ext_authz",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
        stat_prefix: "tcp",
        transport_api_version: "V3",
        include_tls_session: true,
        ...grpc,
      },
    };
    const tcp = tcpListener("tcp", tcpProxy({ cluster: "app" }));
    const [{ filters = [] } = {}] = tcp["filter_chains"] as readonly { readonly filters?: readonly Json[] }[];
    const bootstrap = staticBootstrap(
      [
        ...listeners,
        { ...secure, filter_chains: [{ ...chain, ...overTls }] },
        { ...tcp, filter_chains: [{ filters: [gate, ...filters] }] },
      ],
      [cluster("app", [app.port]), http2Cluster("authz", [asked.port]), cluster("authz-http", [askedHttp.port])],
    );
    const envoy = await startEnvoy(bootstrap, suite);
    const sidecar = await startSidecar(bootstrap, suite);
    for (const name of [...Object.keys(FILTERS), "tls", "tcp"])
      ports.set(name, [await envoy.port(name), await sidecar.port(name)]);
  });

  const outcomeOf = async (
    ask: () => Promise<{ readonly status: number; readonly headers: object; readonly body: Buffer }>,
  ): Promise<Outcome> => {
    for (const list of [asked.checks, asked.metadata, askedHttp.checks, app.requests]) list.length = 0;
    const answer = await ask();
    const check = asked.checks[0];
    const httpCheck = askedHttp.checks[0];
    return {
      status: answer.status,
      headers: without(answer.headers as Json),
      body: answer.body.toString("latin1"),
      check: check
        ? [comparableCheck(check), asked.metadata[0]?.get("x-asked-for")]
        : httpCheck && comparableHttpCheck(httpCheck),
      upstream: comparableUpstream(app.requests[0]),
    };
  };

  /** Asks both, and gives what came of it on ours. */
  const same = async (
    name: string,
    question: Question,
    t: Owner,
    {
      verdict = { status: { code: 0 } },
      answer = { status: 200 },
      h2 = false,
    }: { readonly verdict?: Verdict; readonly answer?: HttpVerdict; readonly h2?: boolean } = {},
  ): Promise<Outcome> => {
    asked.answer = () => verdict;
    askedHttp.answer = () => answer;
    const outcomes: Outcome[] = [];
    for (const port of ports.get(name) ?? []) {
      const asker = h2 ? await http2Asker(port, t) : http1Asker(port, t);
      outcomes.push(await outcomeOf(() => asker.ask(question)));
    }
    assert.deepEqual(outcomes[1], outcomes[0]);
    return outcomes[1]!;
  };

  const manyHeaders = {
    "x-a": ["1", "2"],
    "x-b": "b",
    "x-c": "c",
    "x-latin": "caf\xe9",
    "x-envoy-auth-partial-body": "true",
    "x-envoy-downstream-service-cluster": "caller",
    authorization: "Bearer x",
    cookie: "a=b; c=d",
    "x-empty": "",
  };

  test("a CheckRequest says the same, field by field", async (t) => {
    for (const name of ["plain", "told", "raw", "chosen", "body"]) {
      for (const h2 of [false, true]) await same(name, { path: "/p?q=1&q=2", headers: manyHeaders }, t, { h2 });
    }
    await same("plain", { path: "/tier" }, t);
    await same("plain", { method: "DELETE", path: "/%2e%2f/caf%c3%a9?a=%20" }, t);
  });

  test("over mutual TLS it names both ends, and shows certificate and SNI", async () => {
    const outcomes: Outcome[] = [];
    asked.answer = () => ({ status: { code: 0 } });
    for (const port of ports.get("tls") ?? []) {
      const ask = async () => {
        const answered = Promise.withResolvers<{ status: number; headers: object; body: Buffer }>();
        const tls = { ca: authority.certificate, cert: client.chain, key: client.key, servername: "server.test" };
        const sent = requestOverTls({
          host: "127.0.0.1",
          port,
          path: "/",
          agent: false,
          ...tls,
          headers: { host: "a.test" },
        });
        sent.on("error", answered.reject).on("response", (response) => {
          void bytesOf(response).then((bytes) => {
            answered.resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes });
          }, answered.reject);
        });
        sent.end();
        return answered.promise;
      };
      outcomes.push(await outcomeOf(ask));
    }
    assert.deepEqual(outcomes[1], outcomes[0]);
    assert.equal(asked.checks[0]?.attributes.source.principal, "spiffe://mesh/ns/a/sa/client");
    assert.equal(asked.checks[0]?.attributes.destination.principal, "server.test");
    assert.equal(asked.checks[0]?.attributes.tls_session?.sni, "server.test");
  });

  test("bodies are shown as far as they may be", async (t) => {
    const pieces = (text: string): readonly Buffer[] => [Buffer.from(text, "latin1")];
    for (const name of ["body", "partial", "bytes"]) {
      for (const text of ["short", "exactly twenty bytes", "caf\xe9", "no \xf0\x9f"])
        await same(name, { method: "POST", path: "/", body: pieces(text) }, t);
    }
    for (const name of ["partial", "bytes", "http-body", "body"])
      await same(name, { method: "POST", path: "/", body: pieces("a body of more than twenty bytes") }, t);
  });

  const field = (key: string, value: string, more: Json = {}): Json => ({ header: { key, value }, ...more });
  const append = { append: { value: true } };
  const set = { append: { value: false } };
  const allows = (ok: Json): Verdict => ({ status: { code: 0 }, ok_response: ok });
  const requestHeaders = {
    path: "/p?q=1&q=2&gone=1&keep=%20x",
    headers: { "x-a": ["1", "2"], "x-b": "b", "x-c": "c" },
  };

  test("what is allowed is changed in the same way", async (t) => {
    for (const more of [{}, append, set, { append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }]) {
      const headers = ["x-a", "x-b", "x-new"].map((key) => field(key, "n", more));
      for (const name of ["plain", "validated", "ruled"])
        await same(name, requestHeaders, t, { verdict: allows({ headers }) });
    }
    for (const [key, value] of [
      [":path", "/changed?z=1"],
      ["host", "hosted"],
      [":authority", "hosted:80"],
      [":method", "PUT"],
      ["X-Upper", "u"],
      ["x-empty", ""],
      ["x-utf8", "é"],
      ["x-not", "n"],
      ["x-envoy-foo", "f"],
    ] as const) {
      for (const name of ["plain", "validated", "ruled"])
        await same(name, requestHeaders, t, { verdict: allows({ headers: [field(key, value)] }) });
    }
    const removal = { headers_to_remove: ["x-a", "X-B", "host", ":path", "bad name", ""] };
    for (const name of ["plain", "validated", "ruled"])
      await same(name, requestHeaders, t, { verdict: allows(removal) });
    for (const query of [
      { query_parameters_to_set: [{ key: "q", value: "new" }] },
      { query_parameters_to_set: [{ key: "n", value: "a%20b" }] },
      { query_parameters_to_remove: ["gone", "keep"] },
      { query_parameters_to_remove: ["gone", "keep", "q"] },
    ])
      await same("plain", requestHeaders, t, { verdict: allows(query) });
  });

  test("the client's answer is changed in the same way", async (t) => {
    for (const more of [
      {},
      append,
      set,
      { append_action: "ADD_IF_ABSENT" },
      { append_action: "OVERWRITE_IF_EXISTS" },
      { append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
    ]) {
      const added = ["x-app", "x-only", "x-new"].map((key) => field(key, "n", more));
      await same("plain", { path: "/" }, t, { verdict: allows({ response_headers_to_add: added }) });
    }
  });

  test("a denial is the same answer, to calls too", async (t) => {
    const denies = (denied: Json): Verdict => ({ status: { code: 7 }, denied_response: denied });
    const fields = [field("x-d", "1", set), field("x-d", "2", set), field("content-type", "application/json")];
    const call = {
      method: "POST",
      path: "/a.B/C",
      headers: { "content-type": "application/grpc", te: "trailers" },
      body: [Buffer.alloc(5)],
    };
    for (const denied of [
      {},
      { status: { code: 401 }, headers: fields, body: '{"no":"é"}' },
      { status: { code: 503 } },
    ]) {
      await same("plain", { path: "/" }, t, { verdict: denies(denied) });
      await same("plain", call, t, { verdict: denies(denied), h2: true });
    }
    await same("plain", { path: "/" }, t, { verdict: { status: { code: 7 } } });
    await same("plain", { path: "/" }, t, {
      verdict: { status: { code: 7 }, ok_response: { headers: [field("x", "y")] } },
    });
    await same("plain", { path: "/" }, t, {
      verdict: { status: { code: 0 }, denied_response: { status: { code: 401 } } },
    });
  });

  test("a service that fails is the same failure", async (t) => {
    for (const verdict of [{ status: 14 }, Buffer.from("ffffff", "hex"), Buffer.alloc(0)]) {
      for (const name of ["plain", "open", "teapot"]) await same(name, { path: "/" }, t, { verdict });
    }
    for (const answer of [{ status: 500, body: "x" }, { status: 503 }])
      await same("http", { path: "/" }, t, { answer });
  });

  test("of a connection it is told the same, and what it denies is closed without a byte", async () => {
    for (const verdict of [{ status: { code: 0 } }, { status: { code: 7 } }, { status: 14 }]) {
      const ends: unknown[] = [];
      asked.answer = () => verdict;
      for (const port of ports.get("tcp") ?? []) {
        asked.checks.length = 0;
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => undefined).end("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        const answer = (await bytesOf(socket).catch(() => Buffer.alloc(0))).toString("latin1");
        const { source, destination, ...others } = asked.checks[0]!.attributes;
        const peers = [source, destination].map((peer) => ({ ...peer, address: peer.address.socket_address?.address }));
        ends.push({ answer: answer.slice(0, 15), peers, others });
      }
      assert.deepEqual(ends[1], ends[0]);
    }
  });

  test("an HTTP service is asked the same, and its answers mean the same", async (t) => {
    for (const name of ["http", "prefixed", "http-told", "http-body"]) {
      for (const method of ["GET", "POST"]) await same(name, { method, path: "/p?q=1", headers: manyHeaders }, t);
    }
    const headers = {
      "x-up-1": "u",
      "x-up-2": ["a", "b"],
      "x-more": "m",
      "x-cli": ["c", "d"],
      "x-envoy-auth-headers-to-remove": "x-b, X-C",
      "x-other": "o",
    };
    const question = { path: "/", headers: { ...requestHeaders.headers, "x-up-1": "old", "x-more": "old" } };
    await same("http", question, t, { answer: { status: 200, headers } });
    const page = Buffer.from([0, 1, 0xff, 0x80]);
    for (const status of [201, 302, 401, 403, 429])
      await same("http", question, t, {
        answer: { status, headers: { location: "/login", "set-cookie": ["a=1", "b=2"], "x-other": "o" }, body: page },
      });
  });
});
