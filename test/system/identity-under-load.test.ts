import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { get, request } from "node:http";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { eventually } from "../harness/eventually.ts";
import { JoinedMesh } from "../harness/joined-mesh.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";

const WITHOUT_AUTHORITY = /no certificate is to be had|certificate has expired|there is no certificate/;
const CONNECTIONS = 200;
/** A thousand requests a second leave a machine of two cores room. */
const PAUSE_MS = 200;
/** Every two seconds or so; a busy machine that takes ten times as long has certificates still. */
const RENEWED_OFTEN = { svidTtl: "60s", sidecarFlags: ["--svid-renew-at-percent", "3"] };
const ROTATING_MS = 60_000;
const ORDERS = "spiffe://cluster.local/ns/default/sa/orders";

/** What a client with a certificate of the mesh hears from the sidecar of orders, on connections that each shake hands anew. */
interface Prober {
  readonly handshakes: number;
  readonly failures: ReadonlyMap<string, number>;
  /** Serial numbers of the certificates that it has shown. */
  readonly serials: ReadonlySet<string>;
  stop(): Promise<void>;
}

function startProber(mesh: JoinedMesh, t: TestContext): Prober {
  const failures = new Map<string, number>();
  const serials = new Set<string>();
  let handshakes = 0;
  let stopping = false;
  const running = (async () => {
    let svid = await mesh.newSvid("probe");
    let since = performance.now();
    while (!stopping) {
      if (performance.now() - since > 1000) {
        svid = await mesh.newSvid("probe").catch(() => svid);
        since = performance.now();
      }
      const ca = await rootsOf(mesh).catch(() => undefined);
      const outcome = ca === undefined ? "" : await shake(mesh.ordersPort, svid, ca, serials);
      if (outcome !== "") failures.set(outcome, (failures.get(outcome) ?? 0) + 1);
      else if (ca !== undefined) handshakes += 1;
      await sleep(100);
    }
  })();
  t.after(() => {
    stopping = true;
  });
  return {
    get handshakes() {
      return handshakes;
    },
    failures,
    serials,
    stop: async () => {
      stopping = true;
      await running;
    },
  };
}

/** "" where a request over a new connection was answered with 200. */
function shake(
  port: number,
  { certificate, key }: { readonly certificate: string; readonly key: string },
  ca: string,
  serials: Set<string>,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      cert: certificate,
      key,
      ca,
      checkServerIdentity: () => undefined,
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer in 10 s")));
    let answer = "";
    socket.on("secureConnect", () => {
      const shown = socket.getPeerCertificate();
      serials.add(shown.serialNumber);
      if (shown.subjectaltname !== `URI:${ORDERS}`) socket.destroy(new Error(`shown was ${shown.subjectaltname}`));
      socket.write("GET /probe HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n");
    });
    socket.setEncoding("latin1").on("data", (piece: string) => {
      answer += piece;
    });
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", () => resolve(answer.startsWith("HTTP/1.1 200 ") ? "" : `answered was ${answer.slice(0, 40)}`));
  });
}

async function untilEncrypted(mesh: JoinedMesh): Promise<void> {
  await eventually(
    "the hop between the two sidecars is mutual TLS",
    async () => (await ask(mesh)).includes("URI=spiffe://cluster.local/ns/default/sa/web"),
    60_000,
  );
}

/** `fetch` sends no Host of one's own. */
function ask(mesh: JoinedMesh): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ port: mesh.webOutbound, headers: { host: "orders" }, agent: false }, (response) => {
      text(response).then(resolve, reject);
    }).once("error", reject);
  });
}

/** PEM */
function rootsOf(mesh: JoinedMesh): Promise<string> {
  return mesh.controlPlane.page("/ca/bundle");
}

/** Load and prober around what happens; nothing may fail. */
async function underLoad(
  mesh: JoinedMesh,
  t: TestContext,
  happening: (prober: Prober) => Promise<void>,
): Promise<void> {
  await untilEncrypted(mesh);
  const load = startLoad(`http://127.0.0.1:${mesh.webOutbound}/`, CONNECTIONS, t, {
    headers: { host: "orders" },
    pauseMs: PAUSE_MS,
  });
  const prober = startProber(mesh, t);
  await eventually("the load runs", () => load.count > 2 * CONNECTIONS && prober.handshakes > 2, 60_000);
  await happening(prober);
  await prober.stop();
  const { requests, failures } = await load.stop();
  t.diagnostic(
    `${requests} requests, ${prober.handshakes} handshakes of the prober, ${prober.serials.size} certificates`,
  );
  assert.deepEqual([...failures], [], "no request has failed");
  assert.deepEqual([...prober.failures], [], "no handshake has failed");
  const counters = async (name: string): Promise<number> => mesh.sidecars.get("orders")?.stat(name) ?? -1;
  assert.equal(await counters("http.inbound/80.downstream_cx_destroy_local_active_rq"), 0);
}

test("certificates that are renewed every two seconds for a minute fail no request", async (t) => {
  const mesh = await JoinedMesh.start(lastFirst(t), RENEWED_OFTEN);
  await underLoad(mesh, t, async (prober) => {
    const before = prober.serials.size;
    await sleep(ROTATING_MS);
    // Within the minute, where the machine lets them and the prober keep their pace.
    await eventually("more than 20 certificates have been shown", () => prober.serials.size - before > 20, 300_000);
  });
});

test("a root that is replaced fails no request", async (t) => {
  const mesh = await JoinedMesh.start(lastFirst(t), { svidTtl: "10s" });
  const count = (pem: string): number => pem.split("BEGIN CERTIFICATE").length - 1;
  await underLoad(mesh, t, async () => {
    const before = await rootsOf(mesh);
    assert.equal(await mesh.rotateRoot("begin"), 200);
    await eventually("two roots are trusted", async () => count(await rootsOf(mesh)) === 2, 60_000);
    await eventually(
      "only the new root is left",
      async () => {
        const now = await rootsOf(mesh);
        return count(now) === 1 && now !== before;
      },
      180_000,
    );
    await sleep(5000);
  });
});

test("an authority that is killed and comes back fails no request", async (t) => {
  // Renewed every 30 s, and good for ten minutes: on a busy machine the authority may be away for longer than for its two seconds.
  const often = { svidTtl: "10m", sidecarFlags: ["--svid-renew-at-percent", "5"] };
  const mesh = await JoinedMesh.start(lastFirst(t), often);
  await underLoad(mesh, t, async () => {
    for (let round = 0; round < 3; round += 1) {
      await mesh.controlPlane.kill("SIGKILL");
      await sleep(2000);
      await mesh.controlPlane.start();
      await sleep(2000);
    }
    await eventually(
      "certificates are issued again",
      async () => (await mesh.least("identity.svid_issued")) > 1,
      60_000,
    );
  });
});

test("the authority is away until certificates have expired: handshakes fail closed, and all heals by itself", async (t) => {
  const owner = lastFirst(t);
  const mesh = await JoinedMesh.start(owner, {
    svidTtl: "10s",
    flags: ["--renewal-grace", "10m"],
    expectedErrors: WITHOUT_AUTHORITY,
  });
  const web = mesh.sidecars.get("web");
  assert.ok(web !== undefined);
  const ask = (): Promise<number> =>
    new Promise((resolve) => {
      const headers = { host: "orders" };
      const asked = request({ host: "127.0.0.1", port: mesh.webOutbound, headers, agent: false }, (response) => {
        response.resume().on("close", () => resolve(response.statusCode ?? 0));
      });
      asked.on("error", () => resolve(0)).end();
    });
  await eventually("web reaches orders", async () => (await ask()) === 200);
  await mesh.controlPlane.kill();
  await eventually(
    "both have expired",
    async () => [...mesh.sidecars.values()].every(({ log }) => log.includes("certificate has expired")),
    30_000,
  );
  assert.match(web.log, /warn the certificate cannot be renewed/);
  assert.equal(await web.stat("identity.seconds_until_svid_expires"), 0);
  await mesh.controlPlane.start();
  await eventually(
    "web has a certificate again",
    async () => (await web.stat("identity.seconds_until_svid_expires")) > 0,
    30_000,
  );
  await eventually("web reaches orders again", async () => (await ask()) === 200, 30_000);
});

const FAKETIME = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
const faketime = FAKETIME.find((path) => existsSync(path));

for (const [what, shift] of [
  ["ahead", "+5m"],
  ["behind", "-5m"],
] as const) {
  test(`a sidecar whose clock is five minutes ${what} fails no request`, {
    skip: faketime === undefined && "not installed: libfaketime",
  }, async (t) => {
    const webWrap = ["env", `LD_PRELOAD=${faketime}`, `FAKETIME=${shift}`, "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    const mesh = await JoinedMesh.start(lastFirst(t), { svidTtl: "1h", webWrap });
    await underLoad(mesh, t, () => sleep(5000));
  });
}
