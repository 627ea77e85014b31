import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatDiagnostic } from "@heddle/config/yaml";
import { DEFAULT_INJECTION_SETTINGS, readInjectionSettings, VERSION } from "./injection-settings.ts";

const faults = (text: string): string[] => {
  const read = readInjectionSettings("s.yaml", text);
  assert.ok(!read.ok);
  return read.error.map(formatDiagnostic);
};

test("the version in the image's name is this package's", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  assert.equal(VERSION, manifest.version);
});

test("what is absent is as by default; YAML and JSON say the same", () => {
  assert.deepEqual(readInjectionSettings("s.yaml", ""), { ok: true, value: DEFAULT_INJECTION_SETTINGS });
  const expected = {
    ...DEFAULT_INJECTION_SETTINGS,
    cni: true,
    image: `registry.example:5000/team/heddle@sha256:${"0".repeat(64)}`,
  };
  assert.deepEqual(readInjectionSettings("s.yaml", `cni: true\nimage: ${expected.image}\n`), {
    ok: true,
    value: expected,
  });
  assert.deepEqual(readInjectionSettings("s.json", JSON.stringify({ cni: true, image: expected.image })), {
    ok: true,
    value: expected,
  });
});

test("every fault is told, with its place and what is allowed", () => {
  assert.deepEqual(faults("image: Not An Image\ncni: maybe\nconcurrency: 0\nmemoryLimit: lots\n"), [
    's.yaml:1:1: image: found "Not An Image", allowed are an image\'s name, such as heddle/heddle:0.1.0',
    's.yaml:2:1: cni: found "maybe", allowed are true and false',
    "s.yaml:3:1: concurrency: found 0, allowed are 1 to 256",
    's.yaml:4:1: memoryLimit: found "lots", allowed are a quantity above 0, such as "100m" or "128Mi", or "" for none',
  ]);
  assert.match(faults("immage: x")[0]!, /^s\.yaml:1:1: immage: is no setting; there are image, /);
});

test("a limit below its request, a list, and a second document are refused", () => {
  assert.match(faults("memoryLimit: 64Mi")[0]!, /memoryLimit: found 64Mi, allowed is at least the request, 160Mi/);
  assert.match(faults("[1]")[0]!, /allowed is a map/);
  assert.match(faults("cni: true\n---\ncni: false\n")[0]!, /s\.yaml:3:1: found a second document/);
});
