import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { freePort } from "../../bench/path/peer.ts";
import { GrpcAuthorizer, HttpAuthorizer } from "../harness/authorizer.ts";
import { eventually } from "../harness/eventually.ts";
import { Gate } from "../harness/gate.ts";
import { IdentityMesh } from "../harness/identity-mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";

/*
 * Whole: written as the mesh's own kinds, translated by the control plane, and enforced by a sidecar that asks services which
 * share no line with it.
 */

/** The header without which the providers of these tests deny. */
const PASS = "x-pass";
const YES = { [PASS]: "yes" };
const SELECTOR = "selector: { matchLabels: { app: orders } }";
const ADMIN = 'rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }]';
const RBAC: Answer = { status: 403, body: "RBAC: access denied" };
const HTTP_FIELDS = `includeRequestHeadersInCheck: [${PASS}], headersToUpstreamOnAllow: [x-user], headersToDownstreamOnDeny: [www-authenticate]`;

describe("policies of action CUSTOM", { timeout: 120_000 }, () => {
  const owner = lastFirst({ after });
  let mesh: IdentityMesh;
  let orders: Orders;
  let http: HttpAuthorizer;
  let grpc: GrpcAuthorizer;
  let httpGate: Gate;
  let grpcGate: Gate;
  let version = 0;

  before(async () => {
    mesh = await IdentityMesh.start(owner);
    orders = await startOrders(owner, mesh);
    http = await HttpAuthorizer.listen(owner);
    grpc = await GrpcAuthorizer.listen(owner);
    httpGate = await Gate.start(owner, http.port);
    grpcGate = await Gate.start(owner, grpc.port);
    http.answer = ({ headers }) =>
      headers[PASS] === undefined
        ? { status: 401, headers: { "www-authenticate": "Door", "x-secret": "its own" }, body: "who are you?" }
        : { status: 200, headers: { "x-user": "ann" } };
    grpc.answer = ({ attributes }) =>
      attributes.request.http?.headers[PASS] === undefined
        ? { status: { code: 7 }, denied_response: { status: { code: 401 }, body: "who are you?" } }
        : { status: { code: 0 }, ok_response: { headers: [{ header: { key: "x-user", value: "bob" } }] } };
  });

  /** Policies, of which a rule of their own tells that the sidecar has them: it names the rule that denies to whom it knows. */
  async function set(...policies: readonly string[]): Promise<void> {
    const name = `told-${++version}`;
    const told = `action: DENY\n  rules: [{ to: [{ operation: { ports: ["${orders.httpPort}"], paths: ["/told"] } }] }]`;
    mesh.setPolicies(...policies, authorizationPolicy(name, told));
    const denial = `rbac_deny/ns[default]-policy[${name}]-rule[0]`;
    const { chain: cert, key } = mesh.certificate("web");
    const headers = { "x-heddle-explain": "denial", ...YES };
    await eventually(
      `${name} is there`,
      async () => (await orders.ask("/told", headers, { cert, key })).deniedBy === denial,
    );
    assert.deepEqual(mesh.rejections, []);
    http.checks.length = 0;
    grpc.checks.length = 0;
  }

  const askDoor = (rules: string): string =>
    authorizationPolicy("door", `action: CUSTOM\n  provider: { name: door }\n  ${rules}`);
  const byHttp = (fields = ""): string =>
    provider(`envoyExtAuthzHttp: { service: 127.0.0.1, port: ${httpGate.port}, ${HTTP_FIELDS}${fields} }`);
  const byGrpc = (fields = ""): string =>
    provider(`envoyExtAuthzGrpc: { service: 127.0.0.1, port: ${grpcGate.port}${fields} }`);

  test("a provider of HTTP is asked about what they match, in any spelling, and about nothing else", async () => {
    await set(byHttp(), askDoor(ADMIN));
    assert.deepEqual(await orders.ask("/open"), { status: 200, body: "/open -" });
    assert.equal(http.checks.length, 0);
    assert.deepEqual(await orders.ask("/admin/x?y"), { status: 401, body: "who are you?", challenge: "Door" });
    // What a client says of itself is replaced by what the provider says of it.
    assert.deepEqual(await orders.ask("/admin/x?y", { ...YES, "x-user": "root" }), {
      status: 200,
      body: "/admin/x?y ann",
    });
    for (const path of ["//admin", "/open/../admin", "/open/%2e%2e/admin", "/%61dmin", "/admin;a=b"])
      assert.equal((await orders.ask(path)).status, 401, path);
    for (const path of ["/open%2F..%2Fadmin", "/open%5c..%5cadmin"])
      assert.equal((await orders.ask(path)).status, 400, path);
  });

  test("one of gRPC too, who is told who calls", async () => {
    await set(byGrpc(), askDoor(ADMIN));
    assert.deepEqual(await orders.ask("/open"), { status: 200, body: "/open -" });
    assert.equal(grpc.checks.length, 0);
    assert.deepEqual(await orders.ask("/admin"), { status: 401, body: "who are you?" });
    const { chain: cert, key } = mesh.certificate("web");
    assert.deepEqual(await orders.ask("/admin", { ...YES, "x-user": "root" }, { cert, key }), {
      status: 200,
      body: "/admin bob",
    });
    assert.deepEqual(
      grpc.checks.map(({ attributes: { source, request } }) => [source.principal, request.http.path]),
      [
        ["", "/admin"],
        ["spiffe://mesh.test/ns/default/sa/web", "/admin"],
      ],
    );
  });

  test("the provider is asked first, and what it allows DENY and ALLOW still decide about", async () => {
    const deny = authorizationPolicy(
      "no",
      'action: DENY\n  rules: [{ to: [{ operation: { paths: ["/admin/no"] } }] }]',
    );
    const allow = authorizationPolicy(
      "yes",
      'rules: [{ to: [{ operation: { paths: ["/admin/no", "/admin/yes"] } }] }]',
    );
    await set(byHttp(), askDoor(ADMIN), deny, allow);
    assert.equal((await orders.ask("/admin/no")).body, "who are you?");
    assert.deepEqual(await orders.ask("/admin/no", YES), RBAC);
    assert.deepEqual(await orders.ask("/admin/other", YES), RBAC);
    assert.equal(http.checks.length, 3);
    assert.equal((await orders.ask("/admin/yes", YES)).status, 200);
    assert.equal((await orders.ask("/admin/yes")).status, 401);
  });

  for (const [kind, gate, write] of [
    ["HTTP", () => httpGate, byHttp],
    ["gRPC", () => grpcGate, byGrpc],
  ] as const) {
    test(`a provider of ${kind} that is away or silent denies, and is asked again when it is back`, async () => {
      await set(write(", timeout: 0.3s, statusOnError: '503'"), askDoor(ADMIN));
      assert.equal((await orders.ask("/admin", YES)).status, 200);
      const held: Socket[] = [];
      for (const [what, fault] of [
        ["away", (socket: Socket) => socket.destroy()],
        ["silent", (socket: Socket) => held.push(socket)],
      ] as const) {
        gate().fault = fault;
        gate().cut();
        const { status, body } = await orders.ask("/admin", YES);
        assert.deepEqual([status, body], [503, ""], what);
        assert.equal((await orders.ask("/open")).status, 200, what);
      }
      for (const socket of held) socket.destroy();
      gate().fault = undefined;
      await eventually("it is asked again", async () => (await orders.ask("/admin", YES)).status === 200);
      assert.equal((await orders.ask("/admin")).status, 401);
    });

    test(`a provider of ${kind} that is away lets pass where it is said so, and nobody's word for who calls`, async () => {
      await set(write(", failOpen: true"), askDoor(ADMIN));
      gate().fault = (socket) => socket.destroy();
      gate().cut();
      assert.equal((await orders.ask("/admin")).status, 200);
      gate().fault = undefined;
    });
  }

  test("a provider is shown bodies, also of a client that waits for a word before it sends one", async () => {
    await set(byHttp(", includeRequestBodyInCheck: { maxRequestBytes: 5 }"), askDoor(ADMIN));
    for (const waits of [{}, { expect: "100-continue" }]) {
      const answer = await orders.ask("/admin", { ...YES, ...waits }, undefined, "goods");
      assert.deepEqual(answer, { status: 200, body: "/admin ann" });
      assert.equal(http.checks.at(-1)?.body.toString(), "goods");
    }
    assert.equal((await orders.ask("/admin", YES, undefined, "more goods")).status, 413);
  });

  test("what a provider is asked about that does not exist is denied", async () => {
    await set(askDoor(ADMIN));
    assert.deepEqual(await orders.ask("/admin", YES), RBAC);
    assert.equal((await orders.ask("/open")).status, 200);
  });

  test("connections to a TCP port: gRPC is asked about each, HTTP cannot be asked, and what nobody can be asked about is closed", async () => {
    await set(askDoor(`rules: [{ when: [{ key: destination.port, values: ["${orders.tcpPort}"] }] }]`), byGrpc());
    grpc.answer = ({ attributes }) => ({ status: { code: attributes.source.principal.endsWith("/web") ? 0 : 7 } });
    const [web, cart] = [mesh.certificate("web"), mesh.certificate("cart")];
    assert.equal(await orders.echo({ cert: web.chain, key: web.key }), "hello");
    assert.equal(await orders.echo({ cert: cart.chain, key: cart.key }), "");
    assert.equal(await orders.echo(), "");
    assert.equal(grpc.checks.length, 3);
    grpcGate.fault = (socket) => socket.destroy();
    grpcGate.cut();
    assert.equal(await orders.echo({ cert: web.chain, key: web.key }), "");
    grpcGate.fault = undefined;
    await set(askDoor("rules: [{ when: [{ key: destination.port, values: ['1'] }] }]"), byHttp());
    assert.equal(await orders.echo(), "hello");
    await set(askDoor(`rules: [{ when: [{ key: destination.port, values: ['${orders.tcpPort}'] }] }]`), byHttp());
    assert.equal(await orders.echo(), "");
    assert.equal((await orders.ask("/admin")).status, 200);
  });
});

interface Answer {
  /** 0: the connection ended. */
  readonly status: number;
  readonly body: string;
  /** `www-authenticate` */
  readonly challenge?: string;
  /** `x-heddle-denied-by` */
  readonly deniedBy?: string;
}

interface Orders {
  readonly httpPort: number;
  readonly tcpPort: number;
  /** With `expect` among its headers it sends its content when it has been told to. */
  ask(
    path: string,
    headers?: Readonly<Record<string, string>>,
    tls?: ConnectionOptions,
    content?: string,
  ): Promise<Answer>;
  /** What comes back of "hello" from its TCP port; "" where the connection is closed. */
  echo(tls?: ConnectionOptions): Promise<string>;
}

/** A workload with two ports, and its sidecar. */
async function startOrders(owner: Owner, mesh: IdentityMesh): Promise<Orders> {
  const application = createServer(({ url, headers }, response) => {
    response.end(`${url} ${String(headers["x-user"] ?? "-")}`);
  });
  const echo = createTcpServer((socket) => socket.on("error", () => undefined).pipe(socket));
  const applicationPorts = [];
  for (const server of [application, echo]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    owner.after(() => server.close());
    applicationPorts.push((server.address() as AddressInfo).port);
  }
  owner.after(() => application.closeAllConnections());
  const [httpPort, tcpPort] = [await freePort(), await freePort()];
  mesh.put(`
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: orders, labels: { app: orders } }
spec:
  addresses: [127.0.0.1]
  ports:
    - { name: http, port: ${httpPort}, applicationPort: ${applicationPorts[0]} }
    - { name: raw, protocol: tcp, port: ${tcpPort}, applicationPort: ${applicationPorts[1]} }
  serviceAccount: orders
`);
  await mesh.run({ name: "orders" });
  return {
    httpPort,
    tcpPort,
    ask: (path, headers = {}, tls, content) => ask(httpPort, path, headers, tls, content),
    echo: (tls) => echoed(tcpPort, tls),
  };
}

function ask(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  tls: ConnectionOptions | undefined,
  content = "",
): Promise<Answer> {
  return new Promise((resolve) => {
    const socket =
      tls === undefined ? connect(port, "127.0.0.1") : connectTls({ port, ...tls, rejectUnauthorized: false });
    const asked = request(
      {
        path,
        method: content === "" ? "GET" : "POST",
        headers: { host: "orders", ...(content !== "" && { "content-length": content.length }), ...headers },
        createConnection: () => socket,
      },
      (response) => {
        let body = "";
        const { "www-authenticate": challenge, "x-heddle-denied-by": deniedBy } = response.headers;
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            body,
            ...(challenge !== undefined && { challenge }),
            ...(typeof deniedBy === "string" && { deniedBy }),
          }),
        );
      },
    );
    asked.on("error", () => resolve({ status: 0, body: "" }));
    if (headers["expect"] === undefined) asked.end(content);
    else asked.on("continue", () => asked.end(content)).flushHeaders();
  });
}

function echoed(port: number, tls: ConnectionOptions | undefined): Promise<string> {
  const mesh = { port, servername: "80.orders.default.heddle.internal", rejectUnauthorized: false };
  const socket = tls === undefined ? connect(port, "127.0.0.1") : connectTls({ ...mesh, ...tls });
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (text.length >= "hello".length) socket.end();
  });
  socket.on("error", () => undefined);
  socket.write("hello");
  return new Promise((resolve) => socket.on("close", () => resolve(text)));
}

function authorizationPolicy(name: string, spec: string): string {
  const kind = "apiVersion: heddle.dev/v1\nkind: AuthorizationPolicy\n";
  return `${kind}metadata: { name: ${name} }\nspec:\n  ${SELECTOR}\n  ${spec}\n`;
}

function provider(spec: string): string {
  const kind = "apiVersion: heddle.dev/v1\nkind: ExtensionProvider\n";
  return `${kind}metadata: { name: door, namespace: heddle-system }\nspec:\n  ${spec}\n`;
}
