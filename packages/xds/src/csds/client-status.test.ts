import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Client, credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { decodeMessage, encodeMessage, type Message, messageFromJson } from "@heddle/proto";
import { ServerSession, sotwServer } from "../protocol/server-session.ts";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, SECRET_TYPE_URL } from "../protocol/type-urls.ts";
import { testNode, textSnapshot } from "../testing.ts";
import { type ClientStatus, decodeClientStatusRequest, encodeClientStatusResponse } from "./client-status.ts";
import { ClientStatusServer } from "./client-status-server.ts";

const REQUEST = "envoy.service.status.v3.ClientStatusRequest";
const CLUSTER = "envoy.config.cluster.v3.Cluster";

function request(fields: Message): Uint8Array {
  return encodeMessage(REQUEST, fields);
}

/** "name version config_status client_status details" of each resource of each client. */
function shown(bytes: Uint8Array): string[] {
  const response = decodeMessage("envoy.service.status.v3.ClientStatusResponse", bytes);
  assert.ok(response.ok);
  const configs = (response.value["config"] ?? []) as readonly Message[];
  return configs.flatMap((config) =>
    ((config["generic_xds_configs"] ?? []) as readonly Message[]).map((one) => {
      const error = one["error_state"] as Message | undefined;
      const fields = [one["name"], one["version_info"], one["config_status"], one["client_status"], error?.["details"]];
      return fields.map((field) => (field === undefined ? "-" : JSON.stringify(field).replaceAll('"', ""))).join(" ");
    }),
  );
}

test("statement 78: each resource of a client with its version and what became of it", () => {
  const session = new ServerSession(sotwServer);
  const world = textSnapshot({ cluster: { a: "1" }, endpoints: { a: "1", b: "1", c: "1" } });
  const ask = (typeUrl: string, resourceNames: readonly string[], responseNonce = "", message = "") =>
    session.take({
      typeUrl,
      resourceNames,
      responseNonce,
      versionInfo: "",
      errorDetail: message === "" ? undefined : { code: 3, message },
      node: undefined,
    });
  const send = (): string => {
    const step = session.next(world, 0);
    assert.equal(step.step, "send");
    return step.step === "send" ? step.response.nonce : "";
  };
  ask(CLUSTER_TYPE_URL, []);
  ask(CLUSTER_TYPE_URL, [], send());
  ask(ENDPOINTS_TYPE_URL, ["a", "b", "none"]);
  const nonce = send();
  const now = (): string[] =>
    shown(encodeClientStatusResponse([{ node: testNode(), resources: session.resources() }], true));
  const stale = now();
  assert.match(stale[0] ?? "", /^a \S+ 1 3 -$/);
  assert.match(stale[1] ?? "", /^a \S+ 3 1 -$/);
  assert.match(stale[3] ?? "", /^none {2}2 2 -$/);
  ask(ENDPOINTS_TYPE_URL, ["a", "b", "none"], nonce, "b is bad");
  assert.match(now()[2] ?? "", /^b \S+ 4 4 b is bad$/);
});

test("a request says whom it wants by node id; what cannot be matched is refused, not ignored", () => {
  const wants = (matcher: Message, id: string): boolean | string => {
    const decoded = decodeClientStatusRequest(request({ node_matchers: [matcher] }));
    return decoded.ok ? decoded.value.wants(testNode(id)) : decoded.error;
  };
  assert.equal(wants({ node_id: { exact: "a" } }, "a"), true);
  assert.equal(wants({ node_id: { exact: "a" } }, "b"), false);
  assert.equal(wants({ node_id: { prefix: "default/" } }, "default/web/1"), true);
  assert.equal(wants({ node_id: { safe_regex: { regex: "a+" } } }, "aa"), true);
  assert.match(
    String(wants({ node_id: { safe_regex: { regex: "(" } } }, "a")),
    /^node_matchers\[0\].node_id: safe_reg/,
  );
  assert.match(String(wants({ node_metadatas: [{}] }, "a")), /node_metadatas: not supported/);
  assert.match(String(wants({}, "a")), /holds no pattern/);
  const all = decodeClientStatusRequest(request({}));
  assert.ok(all.ok && all.value.wants(testNode("any")) && !all.value.excludeContents);
});

test("contents are shown without keys, secrets not at all", () => {
  const json = {
    name: "c",
    transport_socket: {
      name: "tls",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context: {
          tls_certificates: [
            { private_key: { inline_string: "VERYSECRET" }, certificate_chain: { filename: "c.pem" } },
          ],
        },
      },
    },
  };
  const message = messageFromJson(CLUSTER, json);
  assert.ok(message.ok);
  const resource = { version: "1", state: "SYNCED", rejected: undefined } as const;
  const content = encodeMessage(CLUSTER, message.value);
  const secret = Buffer.from("VERYSECRET");
  const clients: ClientStatus[] = [
    {
      node: testNode(),
      resources: [
        { ...resource, typeUrl: CLUSTER_TYPE_URL, name: "c", content },
        { ...resource, typeUrl: SECRET_TYPE_URL, name: "s", content: secret },
      ],
    },
  ];
  const full = Buffer.from(encodeClientStatusResponse(clients, false));
  assert.ok(full.includes("c.pem") && !full.includes("VERYSECRET"));
  assert.ok(!Buffer.from(encodeClientStatusResponse(clients, true)).includes("c.pem"));
});

test("statement 78: answers on a stream and alone, and says what is wrong with a request", async () => {
  const clients = ["a", "b"].map((id) => ({ node: testNode(id), resources: [] }));
  const server = new Server();
  const csds = new ClientStatusServer(() => clients);
  csds.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  cleanups.push(async () => {
    client.close();
    csds.close();
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
  });
  const asIs = (bytes: Buffer): Buffer => bytes;
  const service = "/envoy.service.status.v3.ClientStatusDiscoveryService";
  const fetch = (fields: Message): Promise<Buffer | status> =>
    new Promise((resolve) => {
      const path = `${service}/FetchClientStatus`;
      client.makeUnaryRequest(
        path,
        asIs,
        asIs,
        Buffer.from(request(fields)),
        (error, bytes) => resolve(error === null ? bytes! : error.code), // without an error there is an answer
      );
    });
  const count = (bytes: Buffer | status): number => {
    assert.ok(typeof bytes !== "number");
    const response = decodeMessage("envoy.service.status.v3.ClientStatusResponse", bytes);
    return response.ok ? ((response.value["config"] ?? []) as readonly Message[]).length : -1;
  };
  assert.equal(count(await fetch({})), 2);
  assert.equal(count(await fetch({ node_matchers: [{ node_id: { exact: "b" } }] })), 1);
  assert.equal(await fetch({ node_matchers: [{}] }), status.INVALID_ARGUMENT);
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(`${service}/StreamClientStatus`, asIs, asIs);
  for (let i = 0; i < 3; i += 1) {
    const answer = new Promise<Buffer>((resolve) => stream.once("data", resolve));
    stream.write(Buffer.from(request({})));
    assert.equal(count(await answer), 2);
  }
  const ended = new Promise((resolve) => stream.on("status", resolve));
  stream.end();
  await ended;
});

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
