import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { ExtensionConfig, ExtensionDiscovery } from "@heddle/traffic";
import { ConfigDraft } from "./config-draft.ts";
import { ExtensionAssembly } from "./extension-assembly.ts";

const AUTH = { name: "auth", discovery: { types: ["test.Auth"] } };

function world() {
  const clock = new ManualClock();
  const draft = new ConfigDraft();
  const timedOut: string[] = [];
  const extensions = new ExtensionAssembly(draft, clock, (listeners) => timedOut.push(...listeners));
  return { clock, draft, timedOut, extensions, served: () => [...draft.current().extensions.keys()] };
}

function filter(discovery: Partial<ExtensionDiscovery> = {}) {
  return { name: "auth", discovery: { ...AUTH.discovery, ...discovery } };
}

function config(): { config: ExtensionConfig; version: string; acceptedMs: number } {
  return {
    config: { name: "auth", config: { name: "auth", type: "test.Auth", config: {} } },
    version: "1",
    acceptedMs: 0,
  };
}

function names(extensions: ExtensionAssembly): string[] {
  return [...extensions.wants.values()].flatMap((group) => [...group.names]);
}

test("a listener waits for what it asks for until it comes, is not there, or its time is over", () => {
  for (const end of ["comes", "absent", "timeout"] as const) {
    const { clock, extensions, timedOut, served } = world();
    extensions.want("in", [AUTH]);
    assert.deepEqual([extensions.missing([AUTH]), names(extensions)], [["auth"], ["auth"]]);
    if (end === "comes") assert.deepEqual(extensions.update("auth", config()), ["in"]);
    else if (end === "absent") assert.deepEqual(extensions.remove("auth"), ["in"]);
    else clock.advance(15_000);
    assert.deepEqual(timedOut, end === "timeout" ? ["in"] : []);
    assert.deepEqual([extensions.missing([AUTH]), served()], [[], end === "comes" ? ["auth"] : []]);
    extensions.want("in", []);
    assert.equal(clock.pending, 0);
  }
});

test("one that starts with its default is not waited for", () => {
  const { extensions } = world();
  extensions.want("in", [filter({ startsWithDefault: true })]);
  assert.deepEqual(extensions.missing([filter({ startsWithDefault: true })]), []);
  extensions.close();
});

test("what several listeners ask for is asked for once, and forgotten with the last of them", () => {
  const { extensions, served } = world();
  extensions.want("a", [AUTH]);
  extensions.want("b", [AUTH]);
  extensions.update("auth", config());
  const { wants } = extensions;
  extensions.want("a", []);
  assert.equal(extensions.wants, wants, "nothing has changed for the subscriber");
  assert.deepEqual(served(), ["auth"]);
  extensions.want("b", []);
  extensions.forgetUnused();
  assert.deepEqual([names(extensions), served()], [[], []]);
  assert.deepEqual(extensions.update("auth", config()), [], "nobody asks for it");
});

test("what is of a network filter by now is no longer there for HTTP filters of its name", () => {
  const { extensions, served } = world();
  extensions.want("in", [AUTH]);
  extensions.update("auth", config());
  extensions.want("tcp", [filter({ types: ["test.Tcp"] })]);
  extensions.want("in", []);
  const network = { type: "echo", name: "auth" } as const;
  const tcp = { name: "auth", config: { name: "auth", type: "test.Tcp", config: {} }, network };
  extensions.update("auth", { ...config(), config: tcp });
  assert.deepEqual(served(), []);
  assert.deepEqual(extensions.find("auth", { types: ["test.Tcp"] }), tcp);
  assert.equal(extensions.find("auth", AUTH.discovery), undefined);
  extensions.close();
});

test("a removed configuration is taken out, and one that comes again is in force at once", () => {
  const { extensions, served } = world();
  extensions.want("in", [AUTH]);
  extensions.update("auth", config());
  extensions.remove("auth");
  assert.deepEqual(served(), []);
  extensions.update("auth", config());
  assert.deepEqual(served(), ["auth"]);
});

test("of several listeners each has to allow the type", () => {
  const { extensions } = world();
  extensions.want("a", [filter({ types: ["test.Auth", "test.Other"] })]);
  assert.equal(extensions.refuses("auth", "test.Other"), undefined);
  extensions.want("b", [AUTH]);
  assert.equal(extensions.refuses("auth", "test.Other"), "found test.Other, allowed are type_urls: test.Auth");
  assert.equal(extensions.refuses("auth", "test.Auth"), undefined);
  assert.equal(extensions.refuses("nobody's", "test.Other"), undefined);
  extensions.close();
});
