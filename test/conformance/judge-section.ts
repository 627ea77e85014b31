import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ErrorCode } from "@heddle/http/testing";
import { headers, request } from "../harness/h2-frames.ts";
import { H2Peer } from "../harness/h2-peer.ts";
import type { Owner } from "../harness/owner.ts";
import type { Section, Verdict } from "./h2-sections.ts";

/** Sends a case on a connection of its own and fails unless its verdict comes, and another connection is served. */
export async function judgeSection(
  port: number,
  { run, verdict: wanted, check }: Section,
  malformedEnds: "stream" | "connection",
): Promise<void> {
  const verdict = wanted.type === "malformed" ? asError(wanted.streamId, malformedEnds) : wanted;
  const ends: (() => unknown)[] = [];
  const peer = await H2Peer.connect(port, { after: (end) => void ends.push(end) });
  try {
    await run(peer);
    switch (verdict.type) {
      case "answered": {
        const { status, resetCode } = await peer.response(verdict.streamId);
        assert.equal(status, verdict.status, peer.summary());
        assert.equal(resetCode, undefined, peer.summary());
        assert.ok(await peer.alive(), peer.summary());
        break;
      }
      case "ignored":
        assert.ok(await peer.alive(), peer.summary());
        assert.equal(peer.goAway, undefined);
        break;
      case "stream error": {
        const message = peer.message(verdict.streamId);
        await peer.until("RST_STREAM comes", () => message.resetCode !== undefined);
        assert.ok(verdict.codes.includes(message.resetCode!), peer.summary()); // it has come
        assert.ok(await peer.alive(), peer.summary());
        assert.equal(peer.goAway, undefined);
        break;
      }
      case "connection error":
        await peer.closed();
        assert.ok(verdict.codes.includes(peer.goAway?.code ?? -1), peer.summary());
        break;
    }
    const problem = check?.(peer);
    assert.equal(problem, undefined, peer.summary());
  } finally {
    for (const end of ends) end();
  }
  await serves(port);
}

function asError(streamId: number, ends: "stream" | "connection"): Exclude<Verdict, { type: "malformed" }> {
  const codes = [ErrorCode.ProtocolError];
  return ends === "stream" ? { type: "stream error", streamId, codes } : { type: "connection error", codes };
}

async function serves(port: number): Promise<void> {
  const ends: (() => unknown)[] = [];
  const peer = await H2Peer.connect(port, { after: (end) => void ends.push(end) });
  await peer.send(headers(1, request()));
  assert.equal((await peer.response(1)).status, 200);
  for (const end of ends) end();
}

/**
 * Answers at once, but `/wait` when the request is complete, and that after a while; `/bytes/N` has so many bytes; `/deaf` never
 * reads the request.
 */
export async function startSectionUpstream(owner: Owner): Promise<number> {
  const server = createServer((req, res) => {
    const bytes = Number(/^\/bytes\/(\d+)$/.exec(req.url ?? "")?.[1] ?? 2);
    if (req.url === "/deaf") return;
    req.resume();
    const answer = (): unknown => res.end("x".repeat(bytes));
    if (req.url === "/wait") req.on("end", () => setTimeout(answer, 300));
    else req.on("end", answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
