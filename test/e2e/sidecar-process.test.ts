import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  cluster,
  filterModule,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
  textAccessLog,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import {
  type SidecarOptions,
  type SidecarProcess,
  scratchFolder,
  spawnSidecar,
  startSidecar,
} from "../harness/sidecar.ts";
import { readLog, untilLogged } from "../harness/sidecar-slots.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

interface Proxy {
  readonly sidecar: SidecarProcess;
  readonly upstream: RawUpstream;
  readonly port: number;
  readonly folder: string;
  client(): Promise<RawPeer>;
}

/** A sidecar that forwards everything to one scripted upstream. */
async function startProxy(
  t: TestContext,
  {
    http = {},
    filters = [],
    ...options
  }: SidecarOptions & { readonly http?: Json; readonly filters?: readonly Json[] },
): Promise<Proxy> {
  const owner = lastFirst(t);
  const folder = options.folder ?? scratchFolder(owner);
  const upstream = await RawUpstream.listen(owner);
  const bootstrap = staticBootstrap(
    [
      listener({
        name: "in",
        routes: inlineRoutes([virtualHost("*", "app")]),
        filters,
        http: { access_log: [jsonAccessLog(join(folder, "access.json"))], ...http },
      }),
    ],
    [cluster("app", [upstream.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { ...options, folder });
  const port = await sidecar.port("in");
  return { sidecar, upstream, port, folder, client: () => RawPeer.connect(port, owner) };
}

test("at SIGTERM requests in flight are finished, nobody new is let in, and the process ends with 0 when they have", async (t) => {
  for (const concurrency of [1, 3]) {
    const { sidecar, upstream, port, client } = await startProxy(t, { concurrency, drainTimeS: 60 });
    const peers = await Promise.all(Array.from({ length: 6 }, client));
    const behind = [];
    for (const peer of peers) {
      await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      behind.push(await upstream.next());
    }
    const idle = await client();
    sidecar.terminate();
    await eventually("nobody is let in", async () => !(await accepts(port)));
    assert.equal(await idle.readToEnd(), "", "an idle connection is ended");
    for (const one of behind) {
      await one.message();
      await one.send(OK);
    }
    for (const peer of peers) {
      const answer = await peer.message();
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("connection"), "close");
    }
    const began = performance.now();
    assert.equal(await sidecar.ended, 0);
    assert.ok(performance.now() - began < 30_000, "long before the drain time has passed");
  }
});

test("a request that outlasts the drain time is cut off, and the process still ends with 0", async (t) => {
  const { sidecar, upstream, client } = await startProxy(t, { drainTimeS: 0 });
  const peer = await client();
  await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const behind = await upstream.next();
  await behind.message();
  sidecar.terminate();
  assert.equal(await sidecar.ended, 0);
  assert.doesNotMatch(await peer.readToEnd(), /200 OK/);
});

test("admin shows that it is ready, what is configured, how the cluster fares and what was counted", async (t) => {
  const { sidecar, upstream, port, client } = await startProxy(t, { concurrency: 2 });
  upstream.answerAll(OK);
  const peer = await client();
  for (let i = 0; i < 5; i++) {
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await peer.message();
  }
  assert.equal(await sidecar.page("/ready"), "LIVE\n");
  assert.match(await sidecar.page("/listeners"), new RegExp(`^in::127\\.0\\.0\\.1:${port}$`, "m"));
  const dump = JSON.parse(await sidecar.page("/config_dump")) as { configs: { "@type": string }[] };
  const kinds = dump.configs.map((config) => config["@type"].replace("type.googleapis.com/envoy.admin.v3.", ""));
  assert.deepEqual(kinds.slice(0, 3), ["BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump"]);
  assert.match(JSON.stringify(dump), new RegExp(`"portValue":${upstream.port}|"port_value":${upstream.port}`));
  assert.match(await sidecar.page("/clusters"), new RegExp(`^app::127\\.0\\.0\\.1:${upstream.port}::`, "m"));
  await eventually("the answers are counted", async () => (await sidecar.stat("cluster.app.upstream_rq_2xx")) === 5);
  assert.equal(await sidecar.stat("http.in.downstream_rq_total"), 5);
  assert.equal(await sidecar.stat("http.in.downstream_cx_active"), 1);
  const prometheus = await sidecar.page("/stats?format=prometheus");
  assert.match(prometheus, /^# TYPE envoy_cluster_upstream_rq_total counter$/m);
  assert.match(prometheus, /^envoy_cluster_upstream_rq_total\{envoy_cluster_name="app"\} 5$/m);
  assert.match(prometheus, /^envoy_http_downstream_rq_total\{envoy_http_conn_manager_prefix="in"\} 5$/m);
  const unknown = await fetch(`http://${sidecar.admin}/nothing`);
  assert.equal(unknown.status, 404);
});

test("a crash leaves no core dump, which would hold keys", async (t) => {
  if (!existsSync("/proc/self/limits")) return t.skip("this system has no /proc");
  const { sidecar } = await startProxy(t, {});
  assert.match(readFileSync(`/proc/${sidecar.pid}/limits`, "utf8"), /^Max core file size +0 +0 /m);
});

test("request ids and trace context are made where there are none, and passed on where there are", async (t) => {
  const { upstream, client, folder } = await startProxy(t, {});
  const peer = await client();
  await peer.send("GET / HTTP/1.1\r\nHost: made\r\n\r\n");
  const behind = await upstream.next();
  const first = await behind.message();
  const id = first.headers.get("x-request-id") ?? "";
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(first.headers.get("traceparent") ?? "", /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/);
  assert.equal(first.headers.get("x-forwarded-proto"), "http");
  await behind.send(OK);
  await peer.message();
  assert.equal((await untilLogged(join(folder, "access.json"), "made", 1))[0]?.request_id, id);

  const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await peer.send(
    `GET / HTTP/1.1\r\nHost: kept\r\nX-Request-Id: mine-7\r\nTraceparent: ${parent}\r\nTracestate: a=1\r\n\r\n`,
  );
  const second = await behind.message();
  assert.equal(second.headers.get("x-request-id"), "mine-7");
  assert.match(second.headers.get("traceparent") ?? "", /^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/);
  assert.equal(second.headers.get("tracestate"), "a=1");
  await behind.send(OK);
  await peer.message();
});

test("at the edge the client's own word about itself does not count", async (t) => {
  const { upstream, client } = await startProxy(t, { http: { use_remote_address: true } });
  const peer = await client();
  await peer.send(
    "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nX-Forwarded-For: 1.2.3.4\r\nX-Envoy-Retry-On: 5xx\r\nX-Forwarded-Proto: https\r\n\r\n",
  );
  const behind = await upstream.next();
  const { headers } = await behind.message();
  assert.equal(headers.get("x-forwarded-for"), "1.2.3.4,127.0.0.1");
  assert.equal(headers.get("x-forwarded-proto"), "http");
  assert.notEqual(headers.get("x-request-id"), "mine");
  assert.equal(headers.has("x-envoy-retry-on"), false);
  await behind.send(OK);
  const answer = await peer.message();
  assert.equal(answer.headers.get("server"), "heddle");
  assert.match(answer.headers.get("date") ?? "", / GMT$/);
  assert.match(answer.headers.get("x-envoy-upstream-service-time") ?? "", /^\d+$/);
});

test("the access log is written in Envoy's default format where none is given, also of what was refused", async (t) => {
  const folder = scratchFolder(t);
  const path = join(folder, "access.log");
  const { upstream, client } = await startProxy(t, { folder, http: { access_log: [textAccessLog(path)] } });
  upstream.answerAll(OK);
  const peer = await client();
  await peer.send(
    'POST /a?b=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test "1"\r\nX-Request-Id: id-1\r\nContent-Length: 3\r\n\r\nabc',
  );
  await peer.message();
  await peer.send("GET / HTTP/1.1\r\nbroken\r\n\r\n");
  assert.match(await peer.readToEnd(), /^HTTP\/1\.1 400 /);
  let lines: string[] = [];
  await eventually("two lines are written", () => {
    lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    return lines.length === 2;
  });
  assert.match(
    lines[0] ?? "",
    new RegExp(
      `^\\[\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z\\] "POST /a\\?b=1 HTTP/1\\.1" 200 - 3 2 \\d+ \\d+ "-" "test "1"" "id-1" "shop\\.example" "127\\.0\\.0\\.1:${upstream.port}"$`,
    ),
  );
  assert.match(lines[1] ?? "", /" 400 DPE 0 \d+ /);
});

test("a filter written in TypeScript takes part in requests, from the folder of the bootstrap", async (t) => {
  const folder = filterFolder(t);
  const filters = [filterModule("./request-tag.ts", { header: "x-tag", value: "canary", refusePrefix: "/internal" })];
  const { sidecar, upstream, client } = await startProxy(t, { folder, filters, concurrency: 2 });
  const peer = await client();
  await peer.send("GET /hello HTTP/1.1\r\nHost: a\r\nX-Tag: forged\r\n\r\n");
  const behind = await upstream.next();
  assert.equal((await behind.message()).headers.get("x-tag"), "canary");
  await behind.send(OK);
  assert.equal((await peer.message()).status, 200);
  await peer.send("GET /internal/keys HTTP/1.1\r\nHost: a\r\n\r\n");
  const refused = await peer.message();
  assert.equal(refused.status, 403);
  assert.equal(String(refused.body), "This path is not served here.\n");
  assert.equal(upstream.accepted, 1);
  await untilLogged(join(folder, "access.json"), "a", 2);
  assert.deepEqual(
    readLog(join(folder, "access.json")).map(({ details }) => details),
    ["via_upstream", "request_tag_refused"],
  );
  assert.match(await sidecar.page("/stats"), /request_tag_refused: 1$/m);
});

test("a filter that throws costs its own request, is named once, and the others go on", async (t) => {
  const folder = filterFolder(t);
  writeFileSync(
    join(folder, "throws.ts"),
    `import { defineFilter } from "@heddle/filter";
     export default defineFilter({
       parse: () => ({ ok: true, value: {} }),
       create: () => ({ create: () => ({
         requestHead({ request }) {
           if (request.path === "/throw") throw new Error("this filter is broken");
           return "continue";
         },
       }) }),
     });`,
  );
  const filters = [filterModule("./throws.ts")];
  const { sidecar, upstream, client } = await startProxy(t, { folder, filters, expectedErrors: /an exception/ });
  upstream.answerAll(OK);
  const peer = await client();
  for (let round = 0; round < 3; round++) {
    await peer.send("GET /throw HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await peer.message()).status, 500);
    await peer.send("GET /fine HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await peer.message()).status, 200);
  }
  assert.equal(sidecar.log.split("this filter is broken").length, 2, "one stack for one cause");
});

test("a filter that ends its worker is survived: the worker is replaced and waiting connections are served", async (t) => {
  for (const concurrency of [1, 3]) {
    const folder = filterFolder(t);
    writeFileSync(
      join(folder, "exits.ts"),
      `export default {
         parse: () => ({ ok: true, value: {} }),
         create: () => ({ create: () => ({
           requestHead({ request }: { request: { path: string } }) {
             if (request.path === "/exit") process.exit(9);
             return "continue";
           },
         }) }),
       };`,
    );
    const filters = [filterModule("./exits.ts")];
    const { sidecar, upstream, client } = await startProxy(t, {
      folder,
      filters,
      concurrency,
      expectedErrors: /worker/,
    });
    upstream.answerAll(OK);
    for (let round = 0; round < 3; round++) {
      const killer = await client();
      await killer.send("GET /exit HTTP/1.1\r\nHost: a\r\n\r\n");
      assert.equal(await killer.readToEnd(), "");
      // With one worker nobody accepts now: these wait in the kernel's queue.
      const peers = await Promise.all(Array.from({ length: 20 }, client));
      for (const peer of peers) await peer.send("GET /fine HTTP/1.1\r\nHost: a\r\n\r\n");
      for (const peer of peers) assert.equal((await peer.message()).status, 200);
      for (const peer of peers) peer.socket.destroy();
    }
    await eventually("all workers run", async () => {
      const inside = JSON.parse(await sidecar.page("/inspect")) as { workers: { workers: { worker: number }[] } };
      return inside.workers.workers.every(({ worker }) => worker > 0);
    });
  }
});

test("a bad configuration of a filter's module ends the start with 2, and names each fault by its path", async (t) => {
  const owner = lastFirst(t);
  const folder = filterFolder(owner);
  const sidecar = spawnFailing(owner, folder, [
    filterModule("./request-tag.ts", { header: "not a name", refusePrefix: 7 }),
  ]);
  assert.equal(await sidecar.ended, 2);
  for (const path of ["refusePrefix", "header", "value"])
    assert.match(sidecar.log, new RegExp(`http_filters\\[0\\][^\\n]*config\\.${path}: `), sidecar.log);
});

test("a module that is not there ends the start with 2, and is named", async (t) => {
  const owner = lastFirst(t);
  const sidecar = spawnFailing(owner, scratchFolder(owner), [filterModule("./not-there.ts")]);
  assert.equal(await sidecar.ended, 2);
  assert.match(sidecar.log, /not-there\.ts/);
});

/** A bootstrap with these filters; does not wait, and does not mind how it ends. */
function spawnFailing(owner: Owner, folder: string, filters: readonly Json[]): SidecarProcess {
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]), filters })],
    [cluster("app", [1])],
  );
  const sidecar = spawnSidecar(bootstrap, { after: () => undefined }, { folder });
  owner.after(() => void sidecar.process.kill("SIGKILL"));
  return sidecar;
}

/** A folder with the example's filter. */
function filterFolder(owner: Owner): string {
  const folder = scratchFolder(owner, { withinProject: true });
  copyFileSync(join(projectRoot, "examples/filters/request-tag.ts"), join(folder, "request-tag.ts"));
  return folder;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
