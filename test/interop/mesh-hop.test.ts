import assert from "node:assert/strict";
import { test } from "node:test";
import { lastFirst } from "../harness/owner.ts";
import { RandomExchanges, type SeenExchange } from "../harness/random-exchanges.ts";
import { startChain } from "../harness/sidecar-chain.ts";

const EXCHANGES = 1000;

/*
 * What applications of HTTP/1 say to each other is the same, field by field and byte for byte, whether nothing stands
 * between them or two sidecars that speak HTTP/2 to each other.
 */
test(`${EXCHANGES} random HTTP/1 exchanges are the same with two sidecars between, and HTTP/2 between those`, async (t) => {
  const owner = lastFirst(t);
  const exchanges = await RandomExchanges.listen(owner);
  const direct = await exchanges.run(exchanges.port, EXCHANGES, owner);
  const workers = { frontConcurrency: 3, concurrency: 1 };
  const chain = await startChain(owner, { hop: { port: exchanges.port, speaks: "h1" } }, workers);
  const through = await exchanges.run(chain.frontPort("hop"), EXCHANGES, owner);
  for (const [index, seen] of through.entries()) same(seen, direct[index]!, index);
  assert.ok((await chain.front.stat("cluster.hop.upstream_cx_http2_total")) > 0, "the hop is HTTP/2");
  assert.equal(await chain.front.stat("cluster.hop.upstream_rq_completed"), EXCHANGES);
});

function same(seen: SeenExchange, direct: SeenExchange, index: number): void {
  // Where the server answers first, whether it still sees the request is a matter of time.
  if (direct.request !== undefined) assert.deepEqual(seen.request, direct.request, `the request of exchange ${index}`);
  assert.deepEqual(seen.response, direct.response, `the response of exchange ${index}`);
}
