import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarOptions, type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const ACCESS_LOGGERS = "type.googleapis.com/envoy.extensions.access_loggers";

/** An access log in that file of the folder. */
function fileLog(path: string, format: Json, filter?: Json): Json {
  return {
    name: path,
    ...(filter !== undefined && { filter }),
    typed_config: { "@type": `${ACCESS_LOGGERS}.file.v3.FileAccessLog`, path, log_format: format },
  };
}

function statusIs(value: number): Json {
  return { status_code_filter: { comparison: { op: "EQ", value: { default_value: value, runtime_key: "a.b" } } } };
}

interface Started {
  readonly sidecar: SidecarProcess;
  readonly upstream: RawUpstream;
  readonly folder: string;
  readonly client: () => Promise<RawPeer>;
}

/** A sidecar with a cluster that answers ("app"), one where nobody listens ("refused"), and no cluster "none". */
async function start(t: TestContext, http: (folder: string) => Json, options: SidecarOptions = {}): Promise<Started> {
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  const upstream = await RawUpstream.listen(owner);
  const hosts = ["app", "refused", "none"].map((name) => virtualHost(name, name));
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes(hosts), http: http(folder) })],
    [cluster("app", [upstream.port]), cluster("refused", [1])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { ...options, folder });
  const port = await sidecar.port("in");
  return { sidecar, upstream, folder, client: () => RawPeer.connect(port, owner) };
}

async function ask(client: () => Promise<RawPeer>, host: string, path = "/") {
  const peer = await client();
  await peer.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const { status, headers, body } = await peer.message();
  return { status, headers, body: body.toString() };
}

test("answers of the sidecar are mapped, formatted and logged as Envoy's would be", async (t) => {
  const { upstream, folder, client } = await start(t, (folder) => ({
    local_reply_config: {
      mappers: [
        {
          filter: { response_flag_filter: { flags: ["UF"] } },
          status_code: 502,
          headers_to_add: [{ header: { key: "x-why", value: "%RESPONSE_CODE_DETAILS%" } }],
        },
      ],
      body_format: {
        json_format: { status: "%RESPONSE_CODE%", body: "%LOCAL_REPLY_BODY%", at: { path: "%REQ(:path)%" } },
      },
    },
    access_log: [
      fileLog(join(folder, "all.json"), {
        json_format: {
          host: "%REQ(:authority)%",
          code: "%RESPONSE_CODE%",
          flags: "%RESPONSE_FLAGS_LONG%",
          reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
          wire: { in: "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", out: "%DOWNSTREAM_WIRE_BYTES_SENT%" },
          type: "%ACCESS_LOG_TYPE%",
          zone: "%ENVIRONMENT(HEDDLE_TEST_ZONE)%",
        },
        omit_empty_values: true,
      }),
      fileLog(join(folder, "404.log"), { text_format_source: { inline_string: "%REQ(:authority)%\n" } }, statusIs(404)),
    ],
  }));
  upstream.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

  const refused = await ask(client, "refused", "/x");
  assert.equal(refused.status, 502);
  assert.equal(
    refused.headers.get("x-why"),
    "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
  );
  assert.equal(refused.headers.get("content-type"), "application/json");
  assert.deepEqual(JSON.parse(refused.body), {
    status: 502,
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    at: { path: "/x" },
  });
  assert.deepEqual(JSON.parse((await ask(client, "nowhere")).body), { status: 404, body: "", at: { path: "/" } });
  assert.equal((await ask(client, "app")).body, "ok");

  const bad = await client();
  await bad.send("GET / HTTP/1.1\r\nHost: app\r\nbad name: x\r\n\r\n");
  assert.deepEqual(JSON.parse((await bad.message()).body.toString()), {
    status: 400,
    body: "Bad Request",
    at: { path: null },
  });

  const log = join(folder, "all.json");
  await eventually("four lines are logged", () => lines(log).length === 4);
  const logged = lines(log).map((line) => JSON.parse(line));
  const request = "GET / HTTP/1.1\r\nHost: app\r\n\r\n".length;
  assert.deepEqual(
    logged.map((line) => ({ ...line, wire: undefined })),
    [
      {
        host: "refused",
        code: 502,
        flags: "UpstreamConnectionFailure",
        reason: "delayed_connect_error:_Connection_refused",
        type: "DownstreamEnd",
        wire: undefined,
      },
      { host: "nowhere", code: 404, flags: "NoRouteFound", type: "DownstreamEnd", wire: undefined },
      { host: "app", code: 200, flags: "-", type: "DownstreamEnd", wire: undefined },
      { code: 400, flags: "DownstreamProtocolError", type: "DownstreamEnd", wire: undefined },
    ],
  );
  assert.equal(logged[2].wire.in, request);
  assert.ok(logged[2].wire.out > "HTTP/1.1 200 OK\r\n\r\nok".length);
  await eventually("the filtered line is logged", () => lines(join(folder, "404.log")).length === 1);
  assert.deepEqual(lines(join(folder, "404.log")), ["nowhere"]);
});

test("access logs that were moved away are made again, by signal and by admin; lines wait as the flags say", async (t) => {
  const started = await start(
    t,
    (folder) => ({ access_log: [fileLog(join(folder, "a.log"), { text_format: "%REQ(:path)%\n" })] }),
    { flags: ["--file-flush-interval-msec", "20"] },
  );
  const { sidecar, upstream, folder, client } = started;
  upstream.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  const path = join(folder, "a.log");
  const rounds = [
    () => sidecar.process.kill("SIGUSR1"),
    () => fetch(`http://${sidecar.admin}/reopen_logs`, { method: "POST" }),
  ];
  for (const [round, reopen] of rounds.entries()) {
    await ask(client, "app", `/before-${round}`);
    await eventually("the line is there", () => lines(path).includes(`/before-${round}`));
    renameSync(path, `${path}.${round}`);
    await reopen();
    await eventually("the file is there again", () => existsSync(path));
    await ask(client, "app", `/after-${round}`);
    await eventually("the new line is in the new file", () => lines(path).includes(`/after-${round}`));
    assert.deepEqual(lines(`${path}.${round}`).at(-1), `/before-${round}`);
  }
  assert.equal(await sidecar.stat("filesystem.reopen_failed"), 0);
  await eventually("lines are counted", async () => (await sidecar.stat("filesystem.write_buffered")) === 4);
});

function lines(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}
