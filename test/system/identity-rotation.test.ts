import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../harness/eventually.ts";
import { JoinedMesh } from "../harness/joined-mesh.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";

/* Certificates and roots change under load of 200 connections, and the authority goes away. Minutes: not of every change. */

const WITHOUT_AUTHORITY = /no certificate is to be had|certificate has expired|there is no certificate/;

test("for a minute leaves are renewed every few seconds and the root is replaced, under 200 connections: no request fails", async (t) => {
  const owner = lastFirst(t);
  const mesh = await JoinedMesh.start(owner, { svidTtl: "10s", flags: ["--renewal-grace", "10m"] });
  const load = startLoad(`http://127.0.0.1:${mesh.webOutbound}/`, 200, owner, { host: "orders" });
  await eventually("orders knows who calls", () => /URI=spiffe:.*\/sa\/web/.test(load.recent.at(-1) ?? ""));
  const roots = async (): Promise<number> =>
    (await mesh.controlPlane.page("/ca/bundle")).split("BEGIN CERTIFICATE").length - 1;
  const first = await mesh.controlPlane.page("/ca/bundle");
  await pause(10_000);
  assert.equal(await mesh.rotateRoot("begin"), 200);
  await eventually("the next root is published", async () => (await roots()) === 2);
  await pause(50_000);
  const renewals = await mesh.least("identity.svid_issued");
  const { requests, failures } = await load.stop();
  t.diagnostic(`${requests} requests; each sidecar has had ${renewals} certificates or more`);
  assert.ok(renewals > 8, `${renewals} certificates`);
  assert.deepEqual([...failures], []);
  t.diagnostic(
    `the bundle has ${await roots()} roots, and ${first === (await mesh.controlPlane.page("/ca/bundle")) ? "is the same" : "has changed"}`,
  );
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
