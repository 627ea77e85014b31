import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ManualClock } from "@heddle/base";
import {
  adsSource,
  type ClusterConfig,
  type ConfigSource,
  type ListenerConfig,
  type ResourceOrigin,
  type SecretConfig,
  type SecretReference,
} from "@heddle/traffic";
import type { ResourceKind } from "@heddle/xds";
import { ConfigAssembler, type ConfigAssemblerOptions } from "./config-assembler.ts";
import type { ConfigDelta } from "./config-draft.ts";

let clock: ManualClock;
let steps: ConfigDelta[];
let wanted: string[];
let version: number;

beforeEach(() => {
  clock = new ManualClock();
  steps = [];
  wanted = [];
  version = 0;
});

/** An assembler that has heard once that there are no clusters and no listeners. */
function started(options: Partial<ConfigAssemblerOptions> = {}): ConfigAssembler {
  const assembler = new ConfigAssembler({
    clock,
    staticListeners: [],
    staticClusters: [],
    listenerDiscovery: { source: adsSource, names: ["*"] },
    clusterDiscovery: { source: adsSource, names: ["*"] },
    subscriber: {
      subscribe: (kind, names, origin) => {
        const from = origin?.type === "file" ? `${origin.path}: ` : "";
        if (kind === "secret") wanted.push(from + [...names].sort().join(" "));
      },
    },
    onDnsClusters: () => undefined,
    onConfig: (delta) => steps.push(delta),
    onReady: () => undefined,
    ...options,
  });
  assembler.start();
  bring(assembler, "cluster");
  bring(assembler, "listener");
  return assembler;
}

function bring(
  assembler: ConfigAssembler,
  kind: ResourceKind,
  ...configs: readonly { readonly name: string }[]
): string {
  const changed = new Map(
    configs.map((config) => [config.name, { name: config.name, version: `${++version}`, config, unhonoured: [] }]),
  );
  assembler.update({ kind, changed, removed: [], absent: [] });
  return step();
}

/** What has changed since the last look. */
function step(): string {
  const taken = steps.splice(0);
  return taken
    .map(({ changed, removed }) => [...[...changed.keys()].sort(), ...removed.map((key) => `-${key}`)].join(" "))
    .join("; ");
}

function waitingFor(assembler: ConfigAssembler, name: string): readonly string[] | undefined {
  return assembler.resources().find((resource) => resource.name === name)?.waitingFor;
}

// Only the fields that the assembler reads.

const sds = (name: string): SecretReference => ({ from: "sds", name });

function listener(name: string, ...certificateSecrets: SecretReference[]): ListenerConfig {
  const filterChains = [{ filters: [], tls: { common: { certificateSecrets } } }];
  return { name, listenerFilters: [], filterChains, defaultFilterChain: undefined } as unknown as ListenerConfig;
}

function cluster(name: string, validationSecret?: SecretReference, type = "STATIC"): ClusterConfig {
  const tls = validationSecret === undefined ? {} : { tls: { common: { validationSecret } } };
  const discovery = { type, serviceName: name, loadAssignment: { clusterName: name } };
  return { name, discovery, ...tls } as unknown as ClusterConfig;
}

function secret(name: string): SecretConfig {
  return { type: "generic", name, secret: undefined };
}

test("statement 62: a listener and a cluster warm until their secrets have come, which several ask for once", () => {
  const assembler = started();
  assert.equal(bring(assembler, "cluster", cluster("a", sds("ca"))), "");
  assert.equal(bring(assembler, "listener", listener("in", sds("web"), sds("ca"))), "");
  assert.deepEqual(wanted, ["ca", "ca web"]);
  assert.deepEqual(waitingFor(assembler, "in"), ["secret/web", "secret/ca"]);
  assert.equal(bring(assembler, "secret", secret("ca")), "cluster/a endpoints/a secret/sds/ca");
  assert.deepEqual(waitingFor(assembler, "in"), ["secret/web"]);
  assert.equal(bring(assembler, "secret", secret("web")), "listener/in secret/sds/web");
  assert.equal(clock.pending, 0);
});

test("statement 62: a rotation changes the secret alone", () => {
  const assembler = started();
  bring(assembler, "secret", secret("unasked"));
  bring(assembler, "listener", listener("in", sds("web")));
  bring(assembler, "cluster", cluster("a", sds("web")));
  bring(assembler, "secret", secret("web"));
  assert.equal(bring(assembler, "secret", secret("web")), "secret/sds/web");
  assert.deepEqual(wanted, ["web"]);
});

test("an updated listener warms beside the old one until a secret has come that it asks for anew", () => {
  const assembler = started();
  bring(assembler, "listener", listener("in", sds("old")));
  bring(assembler, "secret", secret("old"));
  assert.equal(bring(assembler, "listener", listener("in", sds("new"))), "");
  assert.deepEqual(wanted, ["old", "new old"]);
  assert.deepEqual([...assembler.current().secrets.keys()], ["sds/old"]);
  assert.equal(bring(assembler, "secret", secret("new")), "listener/in secret/sds/new -secret/sds/old");
  assert.equal(wanted.at(-1), "new");
  // What is known need not come again.
  assert.equal(
    bring(assembler, "listener", listener("in", sds("new")), listener("two", sds("new"))),
    "listener/in listener/two",
  );
});

test("what nobody asks for is unsubscribed and forgotten", () => {
  const assembler = started();
  bring(assembler, "listener", listener("in", sds("web")));
  bring(assembler, "secret", secret("web"));
  assembler.update({ kind: "listener", changed: new Map(), removed: ["in"], absent: [] });
  assert.equal(step(), "-listener/in -secret/sds/web");
  assert.equal(wanted.at(-1), "");
  assert.deepEqual(assembler.resources(), []);
  assert.equal(bring(assembler, "listener", listener("in", sds("web"))), ""); // waits for it again
});

test("a secret that does not come is not waited for after 15 s; it is used when it comes", () => {
  const assembler = started();
  bring(assembler, "listener", listener("in", sds("web")));
  bring(assembler, "cluster", cluster("a", sds("ca")));
  assembler.update({ kind: "secret", changed: new Map(), removed: [], absent: ["web"] });
  assert.equal(step(), ""); // as in Envoy: the server's word that there is none ends no waiting
  clock.advance(14_999);
  assert.equal(step(), "");
  clock.advance(1);
  assert.equal(step(), "listener/in; cluster/a endpoints/a");
  assert.equal(bring(assembler, "secret", secret("web")), "secret/sds/web");
});

test("a secret that the server takes away stays as it is", () => {
  const assembler = started();
  bring(assembler, "listener", listener("in", sds("web")));
  bring(assembler, "secret", secret("web"));
  assembler.update({ kind: "secret", changed: new Map(), removed: ["web"], absent: [] });
  assert.equal(step(), "");
  assert.deepEqual([...assembler.current().secrets.keys()], ["sds/web"]);
});

test("a cluster waits for its endpoints and its secrets, whichever comes last", () => {
  const assembler = started();
  bring(assembler, "cluster", cluster("a", sds("ca"), "EDS"));
  assert.deepEqual(waitingFor(assembler, "a"), ["endpoints/a", "secret/ca"]);
  const assignment = { name: "a", clusterName: "a" };
  assert.equal(bring(assembler, "endpoints", assignment), "");
  assert.deepEqual(waitingFor(assembler, "a"), ["secret/ca"]);
  assert.equal(bring(assembler, "secret", secret("ca")), "cluster/a endpoints/a secret/sds/ca");

  bring(assembler, "cluster", cluster("b", sds("ca"), "EDS"));
  assert.deepEqual(waitingFor(assembler, "b"), ["endpoints/b"]);
  assembler.update({ kind: "endpoints", changed: new Map(), removed: [], absent: ["b"] });
  assert.equal(step(), "cluster/b endpoints/b");
});

test("the bootstrap's secrets are there from the start, and are others than those of the same name by SDS", () => {
  const web: SecretReference = { from: "static", name: "web" };
  const assembler = started({ staticSecrets: [secret("web"), secret("unused")] });
  assert.equal(bring(assembler, "listener", listener("in", web)), "listener/in secret/static/web");
  assert.deepEqual(wanted, []);
  assert.equal(bring(assembler, "listener", listener("two", sds("web"))), "");
  assert.equal(bring(assembler, "secret", secret("web")), "listener/two secret/sds/web");
  const sources = assembler.resources().filter(({ kind }) => kind === "secret");
  assert.deepEqual(
    sources.map(({ name, source }) => `${source} ${name}`),
    ["static web", "static unused", "dynamic web"],
  );
});

test("the process's own secrets are waited for, change alone, and serve nobody once they are withdrawn", () => {
  const own: SecretReference = { from: "static", name: "default" };
  const assembler = started();
  assert.equal(bring(assembler, "listener", listener("in", own)), "");
  assert.deepEqual(wanted, [], "nobody else is asked for them");
  assembler.ownSecret(secret("default"), "1");
  assert.equal(step(), "listener/in secret/static/default");
  assembler.ownSecret(secret("default"), "2");
  assert.equal(step(), "secret/static/default");
  assembler.withdrawSecret("default");
  assert.equal(step(), "-secret/static/default");
  assembler.ownSecret(secret("default"), "3");
  assert.equal(step(), "secret/static/default");
  assembler.withdrawSecret("other");
  assert.equal(step(), "");
  assert.equal(clock.pending, 0);
});

test("an own secret that does not come is not waited for beyond 15 s; until it comes its users refuse", () => {
  const assembler = started();
  bring(assembler, "listener", listener("in", { from: "static", name: "default" }));
  clock.advance(14_999);
  assert.equal(step(), "");
  clock.advance(1);
  assert.equal(step(), "listener/in");
  assembler.ownSecret(secret("default"), "1");
  assert.equal(step(), "secret/static/default");
});

test("how long a secret is waited for says its source; the same name from two sources is two secrets", () => {
  const file: ResourceOrigin = { type: "file", path: "/sds.yaml" };
  const from = (source: ConfigSource): SecretReference => ({ ...sds("web"), source });
  const assembler = started();
  bring(assembler, "listener", listener("file", from({ from: file, initialFetchTimeoutMs: 0 })));
  bring(assembler, "listener", listener("ads", from({ ...adsSource, initialFetchTimeoutMs: 100 })));
  assert.deepEqual(wanted, ["/sds.yaml: web", "web"]);
  clock.advance(100);
  assert.equal(step(), "listener/ads");
  clock.advance(1_000_000);
  assert.equal(step(), "");
  const changed = new Map([["web", { name: "web", version: "1", config: secret("web"), unhonoured: [] }]]);
  assembler.update({ kind: "secret", origin: file, changed, removed: [], absent: [] });
  assert.match(step(), /^listener\/file secret\/sds\/web@[\w-]{20}$/);
});

test("self is whatever brought the listener or the cluster", () => {
  const file: ResourceOrigin = { type: "file", path: "/lds.yaml" };
  const own: SecretReference = { ...sds("web"), source: { from: { type: "self" }, initialFetchTimeoutMs: 0 } };
  const assembler = started();
  const config = listener("in", own);
  const changed = new Map([["in", { name: "in", version: "1", config, unhonoured: [] }]]);
  assembler.update({ kind: "listener", origin: file, changed, removed: [], absent: [] });
  bring(assembler, "cluster", cluster("a", own));
  assert.deepEqual(wanted, ["/lds.yaml: web", "web"]);
});

test("overtaken and removed listeners leave no timer and no secret behind", () => {
  const assembler = started();
  bring(assembler, "listener", listener("in", sds("one")));
  bring(assembler, "listener", listener("in", sds("two")));
  assert.equal(wanted.at(-1), "two");
  assembler.update({ kind: "listener", changed: new Map(), removed: ["in"], absent: [] });
  assert.equal(wanted.at(-1), "");
  assert.equal(clock.pending, 0);
});
