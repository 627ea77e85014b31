import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cluster, inlineRoutes, type Json, listener, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

/** A server that answers with its name. */
async function upstream(t: TestContext, name: string): Promise<number> {
  const server = createServer((_, response) => response.end(name));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test("listeners and clusters come from files, and a change that is moved into place is in force while requests run", async (t) => {
  const folder = scratchFolder(t);
  const [lds, cds] = [join(folder, "lds.json"), join(folder, "cds.json")];
  const put = (path: string, text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const holds = (type: string, resource: Json): string =>
    JSON.stringify({ resources: [{ "@type": `type.googleapis.com/envoy.config.${type}`, ...resource }] });
  const clusterTo = (port: number): string => holds("cluster.v3.Cluster", cluster("app", [port]));
  const routes = inlineRoutes([virtualHost("*", "app")]);
  put(lds, holds("listener.v3.Listener", listener({ name: "in", routes })));
  put(cds, clusterTo(await upstream(t, "first")));

  const dynamic = {
    lds_config: { path_config_source: { path: lds } },
    cds_config: { path_config_source: { path: cds } },
  };
  const sidecar = await startSidecar({ dynamic_resources: dynamic }, t, {
    expectedErrors: /a file of resources is refused/,
  });
  const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
  const answer = async (): Promise<string> => (await fetch(url)).text();
  assert.equal(await answer(), "first");

  put(cds, '{ "resources": [{ "@type": "nonsense" }] }');
  await eventually("the wrong file is refused", () => /a file of resources is refused/.test(sidecar.log));
  assert.equal(await answer(), "first");
  put(cds, clusterTo(await upstream(t, "second")));
  await eventually("the new cluster answers", async () => (await answer()) === "second");
  const dump = JSON.parse(await sidecar.page("/config_dump?resource=dynamic_active_clusters"));
  assert.equal(dump.configs[0].cluster.name, "app");
});
