import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { parseYamlDocuments } from "@heddle/config";
import { BOOTSTRAP_CERTIFICATE, bootstrapText, bootstrapVerdicts } from "../../scripts/bootstraps-page.ts";
import { vectors } from "../conformance/vectors.ts";
import { eventually } from "../harness/eventually.ts";
import { scratchFolder, spawnSidecar } from "../harness/sidecar.ts";

/*
 * Those of Envoy's example bootstraps that a sidecar does not refuse, each started as its own process. Here, since thirty
 * processes take a minute.
 */

const { skip } = vectors;
const folder = vectors.file("envoy-bootstraps");
const running =
  skip === false ? bootstrapVerdicts(folder).flatMap(({ name, errors }) => (errors.length === 0 ? [name] : [])) : [];

test("there are bootstraps that run", { skip }, () => {
  assert.ok(running.length >= 25, `${running.length} are not refused`);
});

for (const name of running) {
  test(`${name} runs: it listens, and is ready unless it waits for its control plane or its files`, async (t) => {
    const text = withCertificateFiles(bootstrapText(vectors.file(`envoy-bootstraps/${name}`)), scratchFolder(t));
    const bootstrap = onFreePorts(name, text);
    const sidecar = spawnSidecar(bootstrap, t, { expectedErrors: /control plane|stream|xds/i });
    await eventually("admin is up", () => /admin is up/.test(sidecar.log), 60_000);
    await sidecar.untilAdmin();
    if (bootstrap["dynamic_resources"] === undefined) {
      await eventually("it is ready", () => /info ready/.test(sidecar.log), 60_000);
      assert.equal(await sidecar.page("/ready"), "LIVE\n");
      const listeners = (await sidecar.page("/listeners")).split("\n").filter((line) => line !== "");
      assert.equal(listeners.length, listenersOf(bootstrap).length);
    } else {
      await eventually("/ready answers", async () => /^[A-Z_]+\n$/.test(await sidecar.page("/ready")));
    }
  });
}

/** Files of certificates and keys that the bootstrap names are made in the folder. */
function withCertificateFiles(text: string, folder: string): string {
  const { chain, key } = BOOTSTRAP_CERTIFICATE;
  return text.replace(/filename: "?certs\/([\w.]+\.pem)"?/g, (_, name: string) => {
    const file = join(folder, name);
    writeFileSync(file, name.includes("key") ? key : chain);
    return `filename: ${JSON.stringify(file)}`;
  });
}

type JsonObject = { [key: string]: Json };

/** The bootstrap as it is, but for ports that tests may not take. A listener without a name gets the one of its port. */
function onFreePorts(name: string, text: string): JsonObject {
  const documents = parseYamlDocuments(name, text);
  assert.ok(documents.ok && documents.value[0] !== undefined);
  const bootstrap = structuredClone(documents.value[0].json) as JsonObject;
  for (const listener of listenersOf(bootstrap)) {
    const address = (listener["address"] as JsonObject)["socket_address"] as JsonObject | undefined;
    if (address === undefined) continue;
    listener["name"] ??= `port ${JSON.stringify(address["port_value"])}`;
    address["port_value"] = 0;
  }
  return bootstrap;
}

function listenersOf(bootstrap: JsonObject): JsonObject[] {
  const resources = bootstrap["static_resources"] as JsonObject | undefined;
  return (resources?.["listeners"] as JsonObject[] | undefined) ?? [];
}
