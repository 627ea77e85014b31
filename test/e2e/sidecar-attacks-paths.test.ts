import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";

/* Nobody may reach /admin. An upstream that is more generous than the sidecar in what it takes for /admin must not see it either. */

/** Spellings that some server or library takes for /admin. */
const ADMIN: readonly string[] = [
  "/admin",
  "/admin/",
  "/admin/x",
  "/admin?q",
  "/./admin",
  "/././admin",
  "/x/../admin",
  "/x/y/../../admin",
  "/x/./../admin",
  "/../admin",
  "/../../admin",
  "/admin/.",
  "/admin/x/..",
  "/%61dmin",
  "/%61%64%6d%69%6e",
  "/%41/../admin",
  "/%2e/admin",
  "/%2E/admin",
  "/x/%2e%2e/admin",
  "/x/%2E%2e/admin",
  "/x/.%2e/admin",
  "/x/%2e./admin",
  "//admin",
  "///admin",
  "/x/..//admin",
  "/%2fadmin",
  "/%2Fadmin",
  "/x%2f..%2fadmin",
  "/x/..%2fadmin",
  "/x%2f../admin",
  "/x%2F%2e%2e%2Fadmin",
  "/%2f%2fadmin",
  "/\\admin",
  "/x\\..\\admin",
  "/x/..\\admin",
  "\\admin",
  "/%5cadmin",
  "/%5Cadmin",
  "/x%5c..%5cadmin",
  "/x/..%5Cadmin",
  "/x/%2e%2e%5cadmin",
  "http://a/admin",
  "http://a//admin",
  "http://a/x/../admin",
  "http://a/%2e/admin",
  "http://a/x%2f..%2fadmin",
  "HTTP://a/admin",
  "http://other/../admin",
  "/%00/../admin",
  "/admin%00",
  "/admin#x",
  "/x#/../admin",
  "/x/%2e%2e/%2e%2e/admin",
  "/a/b/c/../../../admin",
  "/admin//",
  "/%2e%2e/%61dmin",
];

for (const action of ["REJECT_REQUEST", "UNESCAPE_AND_FORWARD", "UNESCAPE_AND_REDIRECT"]) {
  describe(`a sidecar that guards a path and has escaped slashes ${action}`, () => {
    const suite = lastFirst({ after });
    let port: number;
    const reached: string[] = [];

    before(async () => {
      const upstream = await RawUpstream.listen(suite);
      upstream.serve(async (peer) => {
        for (;;) {
          reached.push((await peer.message()).startLine.split(" ")[1] ?? "");
          await peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
      });
      const routes = [
        { match: { prefix: "/admin" }, direct_response: { status: 403 } },
        { match: { prefix: "/" }, route: { cluster: "up" } },
      ];
      const http = { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: action };
      const bootstrap = staticBootstrap(
        [listener({ name: "in", http, routes: inlineRoutes([{ name: "all", domains: ["*"], routes }]) })],
        [cluster("up", [upstream.port], { connect_timeout: "20s" })],
      );
      port = await (await startSidecar(bootstrap, suite)).port("in");
    });

    async function statusOf(target: string): Promise<number> {
      const peer = await RawPeer.connect(port, { after: () => undefined });
      try {
        await peer.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
        return (await peer.message()).status;
      } finally {
        peer.socket.destroy();
      }
    }

    test("no spelling of the path gets past", async () => {
      const passed: string[] = [];
      for (const target of ADMIN) {
        const status = await statusOf(target);
        if (![400, 403, 307].includes(status)) passed.push(`${target}: ${status}`);
      }
      assert.deepEqual(passed, []);
      assert.deepEqual(reached, []);
    });

    test("what only resembles it is forwarded, and in the form in which it was judged", async () => {
      for (const [target, sent] of [
        ["/", "/"],
        ["/administer/../x", "/x"],
        // Dot segments go before slashes are merged, as in Envoy; the upstream gets no choice.
        ["/x//../admin", "/x/admin"],
        ["/x//..//..//admin", "/x/admin"],
        ["/x?/../admin", "/x?/../admin"],
        ["/x?u=%2fadmin", "/x?u=%2fadmin"],
        ["/adm%69", "/admi"],
        ["/%61dmi//n", "/admi/n"],
        ["/Admin", "/Admin"],
      ] as const) {
        reached.length = 0;
        assert.equal(await statusOf(target), 200, target);
        assert.deepEqual(reached, [sent], target);
      }
    });
  });
}
