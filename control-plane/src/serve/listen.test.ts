import assert from "node:assert/strict";
import { createServer, type ListenOptions, Server } from "node:net";
import { test } from "node:test";
import { ListenError } from "./address.ts";
import { listen } from "./listen.ts";

/** As on a node whose kernel was started with `ipv6.disable=1`. */
class ServerWithoutIpv6 extends Server {
  override listen(...args: readonly unknown[]): this {
    const [options, done] = args as [ListenOptions, () => void];
    if (options.host?.includes(":") !== true) return super.listen(options, done);
    const error = Object.assign(new Error(`listen EAFNOSUPPORT ${options.host}`), { code: "EAFNOSUPPORT" });
    setImmediate(() => this.emit("error", error));
    return this;
  }
}

test("[::] is 0.0.0.0 where the system has no IPv6", async (t) => {
  const server = new ServerWithoutIpv6();
  t.after(() => server.close());
  assert.ok((await listen(server, { host: "::", port: 0 }, "webhooks", "--webhook-address")) > 0);
  const address = server.address();
  assert.equal(typeof address === "object" && address?.address, "0.0.0.0");
});

test("another address of IPv6 is refused there, as is one that is taken", async (t) => {
  const server = new ServerWithoutIpv6();
  await assert.rejects(listen(server, { host: "::1", port: 0 }, "xDS", "--xds-address"), ListenError);
  const first = createServer();
  t.after(() => first.close());
  const port = await listen(first, { host: "127.0.0.1", port: 0 }, "xDS", "--xds-address");
  const again = listen(createServer(), { host: "127.0.0.1", port }, "xDS", "--xds-address");
  await assert.rejects(again, /is taken by another process; choose another with --xds-address/);
});
