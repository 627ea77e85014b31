import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ErrorCode, Setting } from "@heddle/http/testing";
import { eventually } from "../harness/eventually.ts";
import {
  block,
  continuation,
  data,
  type Fields,
  headers,
  ping,
  priority,
  request,
  rstStream,
  settings,
  string,
  windowUpdate,
} from "../harness/h2-frames.ts";
import type { H2Peer } from "../harness/h2-peer.ts";
import { startUnderAttack, type UnderAttack } from "../harness/h2-under-attack.ts";
import { lastFirst } from "../harness/owner.ts";

/*
 * What attacks cost, by Envoy's own rule of what is a vulnerability: a hundred times the client's CPU, or a hundred times the
 * limit in memory. Each attack goes on for a while on connections that are made anew as soon as they are ended.
 */

const ATTACK_MS = 3_000;
const CONNECTIONS = 4;
const MOST_TIMES_CPU = 100;
/** A hundred times what one connection may make us hold: its window. What is measured is far below. */
const MOST_BYTES = 100 << 20;
/** Of CPU, below which the clock of the kernel counts little. */
const LEAST_SECONDS = 0.05;
const MOST = 0x7fff_ffff;

const many = (count: number, bytes: (i: number) => Buffer | readonly Buffer[]): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => bytes(i)).flat());
const id = (i: number): number => 1 + i * 2;
const hold = request("/hold");
const post = (i: number, more: Fields = []): Buffer =>
  headers(id(i), request("/hold", more, "POST"), { endStream: false });

/** What a connection sends, as cheaply for its sender as can be: made once. It is sent until the connection ends. */
const attacks: Readonly<Record<string, Buffer>> = {
  "PING (CVE-2019-9512)": many(2000, () => ping(Buffer.alloc(8))),
  "SETTINGS (CVE-2019-9515)": many(2000, () => settings()),
  "SETTINGS that change the window and the table": many(1000, (i) => settings([1, i % 2 ? 4096 : 0], [4, 1000 + i])),
  "SETTINGS of 2000 entries (CVE-2020-11080)": many(4, () =>
    settings(...Array.from({ length: 2000 }, (_, i) => [0x100 + i, i] as const)),
  ),
  "SETTINGS that move the windows of 100 streams": Buffer.concat([
    many(100, (i) => post(i)),
    many(1000, (i) => settings([Setting.InitialWindowSize, i])),
  ]),
  "SETTINGS of 32 windows each, for 100 streams": Buffer.concat([
    many(100, (i) => post(i)),
    many(900, () => settings(...Array.from({ length: 32 }, (_, i) => [Setting.InitialWindowSize, i] as const))),
  ]),
  "RST_STREAM behind each head (CVE-2023-44487)": many(2000, (i) => [headers(id(i), hold), rstStream(id(i), 8)]),
  "WINDOW_UPDATE of 0 behind each head (CVE-2025-8671)": many(2000, (i) => [post(i), windowUpdate(id(i), 0)]),
  "heads that break HTTP": many(2000, (i) => headers(id(i), [...hold, ["", "x"]])),
  "heads beyond max_concurrent_streams": many(4000, (i) => headers(id(i), hold)),
  "PRIORITY (CVE-2019-9513)": many(2000, (i) => priority(1 + i * 2, 0)),
  "empty DATA (CVE-2019-9518)": Buffer.concat([post(0), many(2000, () => data(1, ""))]),
  WINDOW_UPDATE: Buffer.concat([post(0), many(2000, () => windowUpdate(0, 1))]),
  "CONTINUATION (CVE-2024-27316)": Buffer.concat([
    headers(1, block(request()), { endHeaders: false }),
    many(200, () => continuation(1, block([["x", "y".repeat(4000)]]), false)),
  ]),
  "CONTINUATION of one octet": Buffer.concat([
    headers(1, block(request()), { endHeaders: false }),
    many(5000, () => continuation(1, Buffer.of(0x82), false)),
  ]),
  "an entry of 4 KiB used 10,000 times (CVE-2016-6581)": Buffer.concat([
    headers(1, Buffer.concat([block(request()), Buffer.of(0x40), string("x"), string("y".repeat(4000))]), {
      endHeaders: false,
    }),
    continuation(1, Buffer.alloc(10_000, 0xbe)),
  ]),
  "the same on each stream": many(200, (i) => [
    headers(id(i), Buffer.concat([block(request()), Buffer.of(0x40), string("x"), string("y".repeat(3900))])),
    headers(id(i) + 400, Buffer.concat([block(request()), Buffer.alloc(14, 0xbe)])),
  ]),
  "crumbs of a cookie (CVE-2026-47774)": many(20, (i) =>
    headers(
      id(i),
      request(
        "/",
        Array.from({ length: 1100 }, () => ["cookie", "a=b"] as const),
      ),
    ),
  ),
  "DATA of one octet": Buffer.concat([post(0), many(4000, () => data(1, "x"))]),
  "DATA on streams that are closed": Buffer.concat([
    headers(1, hold),
    rstStream(1, ErrorCode.Cancel),
    many(2000, () => data(1, "x")),
  ]),
  "the connection's window beyond 2^31-1 (CVE-2026-21714)": windowUpdate(0, MOST),
};

describe("what abuse of HTTP/2 costs a sidecar", () => {
  const suite = lastFirst({ after });
  let attacked: UnderAttack;
  before(async () => {
    attacked = await startUnderAttack(suite);
    for (let i = 0; i < 50; i++) await attacked.checkHealth();
  });

  for (const [what, bytes] of Object.entries(attacks)) {
    test(`${what}: less than ${MOST_TIMES_CPU} times its sender's CPU, and memory within bounds`, async (t) => {
      const [memory, cpu, client] = [attacked.sidecar.residentBytes(), attacked.cpu(), process.cpuUsage()];
      const deadline = performance.now() + ATTACK_MS;
      let [connections, sent, most] = [0, 0, 0];
      const watch = setInterval(() => {
        most = Math.max(most, attacked.sidecar.residentBytes());
      }, 200);
      const work = async (): Promise<void> => {
        while (performance.now() < deadline) {
          const ends: (() => unknown)[] = [];
          const peer: H2Peer = await attacked.attacker({ after: (end) => void ends.push(end) }, { polite: false });
          connections++;
          for (let round = 0; round < 3 && !peer.ended && performance.now() < deadline; round++) {
            await peer.send(bytes);
            sent += bytes.length;
            await peer.alive().catch(() => false);
          }
          for (const end of ends) end();
        }
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, work));
      clearInterval(watch);
      await attacked.checkHealth();
      const used = process.cpuUsage(client);
      const ours = attacked.cpu() - cpu;
      const theirs = Math.max((used.user + used.system) / 1e6, LEAST_SECONDS);
      const grown = Math.max(most, attacked.sidecar.residentBytes()) - memory;
      t.diagnostic(
        `${connections} connections, ${sent >> 10} KiB: ${ours.toFixed(2)} s against ${theirs.toFixed(2)} s of CPU, ${grown >> 20} MiB`,
      );
      assert.ok(ours / theirs < MOST_TIMES_CPU, `${(ours / theirs).toFixed(1)} times the client's CPU`);
      assert.ok(grown < MOST_BYTES, `${grown >> 20} MiB`);
      await eventually("the upstream is let go", () => attacked.upstream.open === 0);
    });
  }

  test("10,000 connections that overflow their window leave no memory behind", async (t) => {
    const bytes = windowUpdate(0, MOST);
    const round = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 50)
        await Promise.all(
          Array.from({ length: 50 }, async () => {
            const ends: (() => unknown)[] = [];
            const peer = await attacked.attacker({ after: (end) => void ends.push(end) }, { polite: false });
            await peer.send(bytes);
            await peer.closed();
            for (const end of ends) end();
          }),
        );
    };
    await round(5000); // what the first ones make is kept: code, buffers
    const before = attacked.sidecar.residentBytes();
    await round(10_000);
    const grown = attacked.sidecar.residentBytes() - before;
    t.diagnostic(`${grown >> 10} KiB more`);
    assert.ok(grown < 20 << 20, `${grown >> 20} MiB`);
  });
});
