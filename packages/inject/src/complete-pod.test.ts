import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json, JsonObject } from "@heddle/base";
import { completePod } from "./complete-pod.ts";
import { injectPod, uninjectPod } from "./inject-pod.ts";
import { injectStream, uninjectStream } from "./inject-stream.ts";
import { formatFault } from "./injection-fault.ts";
import { DEFAULT_INJECTION_SETTINGS, type InjectionSettings } from "./injection-settings.ts";
import { objectAt, objectsAt } from "./json-fields.ts";

const APP = { name: "app", livenessProbe: { httpGet: { path: "/live", port: 80 } } };
/** As a webhook adds it that was asked behind ours. */
const LATE = {
  name: "late",
  readinessProbe: { tcpSocket: { port: 81 } },
  lifecycle: { preStop: { httpGet: { path: "/bye?$(X)", port: 81 } }, postStart: { exec: { command: ["true"] } } },
};

function injected(pod: JsonObject, settings: Partial<InjectionSettings> = {}): JsonObject {
  const done = injectPod(pod, { ...DEFAULT_INJECTION_SETTINGS, ...settings });
  assert.ok(done.ok, done.ok ? "" : done.error.map(formatFault).join("\n"));
  return done.value;
}

function completed(pod: JsonObject, settings: Partial<InjectionSettings> = {}): JsonObject {
  const done = completePod(pod, { ...DEFAULT_INJECTION_SETTINGS, ...settings });
  assert.ok(done.ok, done.ok ? "" : done.error.map(formatFault).join("\n"));
  return done.value;
}

function faults(pod: JsonObject): string {
  const done = completePod(pod, DEFAULT_INJECTION_SETTINGS);
  assert.ok(!done.ok);
  return done.error.map(formatFault).join("\n");
}

const pod = (...containers: readonly Json[]): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web" },
  spec: { containers },
});
const all = (of: JsonObject): readonly JsonObject[] =>
  ["initContainers", "containers"].flatMap((list) => objectsAt(objectAt(of, "spec"), list));
const named = (of: JsonObject, name: string): JsonObject =>
  all(of).find((one) => one["name"] === name) ?? assert.fail(`no ${name}`);
function withContainers(of: JsonObject, change: (containers: readonly Json[]) => readonly Json[]): JsonObject {
  const spec = objectAt(of, "spec");
  return { ...of, spec: { ...spec, containers: change(spec["containers"] as readonly Json[]) } };
}
function probesOf(of: JsonObject): Json {
  const env = objectsAt(named(of, "heddle-sidecar"), "env").find(({ name }) => name === "HEDDLE_APP_PROBES");
  return env === undefined ? null : (JSON.parse((env["value"] as string).replaceAll("$$", "$")) as Json);
}

for (const settings of [{}, { nativeSidecar: false }, { cni: true }])
  test(`probes and hooks of a container that came later go through the sidecar, and back by uninject: ${JSON.stringify(settings)}`, () => {
    for (const before of [pod(APP), pod({ name: "app" })]) {
      const withLate = withContainers(injected(before, settings), (containers) => [...containers, LATE]);
      const done = completed(withLate, settings);
      assert.deepEqual(named(done, "late")["readinessProbe"], {
        httpGet: { path: "/app-health/late/readyz", port: 15_021 },
      });
      // As if it had been there before.
      const atOnce = injected(
        withContainers(before, (containers) => [...containers, LATE]),
        settings,
      );
      assert.deepEqual(probesOf(done), probesOf(atOnce));
      assert.deepEqual(named(done, "late"), named(atOnce, "late"));
      assert.equal(completed(done, settings), done);
      const restored = uninjectPod(done);
      assert.deepEqual(restored, { ok: true, value: withContainers(before, (containers) => [...containers, LATE]) });
    }
  });

test("where nothing is missing the pod is the very same, whoever has come in before or behind", () => {
  const once = injected(pod(APP));
  const bare = withContainers(once, (containers) => [{ name: "first" }, ...containers, { name: "last" }]);
  for (const one of [once, bare, pod(APP)]) assert.equal(completed(one), one);
  assert.equal(completed(once, { revision: "v2" }), once);
});

test("what others have changed of the sidecar itself stays", () => {
  const once = withContainers(injected(pod(APP), { nativeSidecar: false }), ([sidecar, ...others]) => [
    { ...(sidecar as JsonObject), env: [...objectsAt(sidecar, "env"), { name: "PROXY", value: "p" }], tty: true },
    ...others,
    LATE,
  ]);
  const done = completed(once, { nativeSidecar: false });
  const { env, tty } = named(done, "heddle-sidecar");
  assert.deepEqual([(env as readonly Json[]).at(-1), tty], [{ name: "PROXY", value: "p" }, true]);
});

test("probes that were to stay as they are stay so in what comes later: by setting, by annotation, without capture", () => {
  const annotated = { ...pod(APP), metadata: { annotations: { "heddle.dev/rewrite-probes": "false" } } };
  for (const once of [
    injected(annotated),
    injected(pod(APP), { rewriteProbes: false }),
    injected(pod(APP), { capture: "none" }),
  ]) {
    const later = withContainers(once, (containers) => [...containers, LATE]);
    assert.equal(completed(later), later);
  }
});

test("W12: what comes later and could not work beside the sidecar is refused, and so is a status without a sidecar", () => {
  const later = (container: JsonObject): JsonObject =>
    withContainers(injected(pod(APP)), (containers) => [...containers, { name: "late", ...container }]);
  assert.match(
    faults(later({ securityContext: { runAsUser: 1337 } })),
    /^spec\.containers\[1\]\.securityContext\.runAsUser: found 1337/,
  );
  assert.match(faults(later({ ports: [{ containerPort: 15_021 }] })), /^spec\.containers\[1\]\.ports\[0\]/);
  const { metadata } = injected(pod(APP));
  assert.match(
    faults({ ...pod(APP), metadata: metadata! }),
    /says that there is a container heddle-sidecar, and there is none/,
  );
  const unreadable = withContainers(injected(pod(APP), { nativeSidecar: false }), ([sidecar, ...others]) => [
    { ...(sidecar as JsonObject), env: [{ name: "HEDDLE_APP_PROBES", value: "{" }] },
    ...others,
    LATE,
  ]);
  assert.match(faults(unreadable), /HEDDLE_APP_PROBES: is not what injection has put there/);
});

test("a completed pod, written down: heddle inject of it is idempotent, and uninject gives back every byte", () => {
  const done = completed(withContainers(injected(pod(APP)), (containers) => [...containers, LATE]));
  const text = `${JSON.stringify(done, null, 2)}\n`;
  const bare = uninjectStream("pod.json", text);
  assert.ok(bare.ok);
  assert.deepEqual(JSON.parse(bare.value.text), { ...pod(APP, LATE), metadata: { name: "web" } });
  const once = injectStream("pod.json", text, DEFAULT_INJECTION_SETTINGS);
  assert.ok(once.ok);
  const twice = injectStream("pod.json", once.value.text, DEFAULT_INJECTION_SETTINGS);
  assert.ok(twice.ok && twice.value.text === once.value.text);
  const back = uninjectStream("pod.json", once.value.text);
  assert.ok(back.ok && back.value.text === bare.value.text);
});
