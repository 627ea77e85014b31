import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { injectPod, uninjectPod } from "./inject-pod.ts";
import { formatFault } from "./injection-fault.ts";
import { DEFAULT_INJECTION_SETTINGS, type InjectionSettings } from "./injection-settings.ts";
import { objectAt, objectsAt } from "./json-fields.ts";

const pod = (annotations: JsonObject = {}, spec: JsonObject = {}, container: JsonObject = {}): JsonObject => ({
  metadata: { name: "web", annotations },
  spec: { containers: [{ name: "app", image: "web:1", ...container }], ...spec },
});

function inject(of: Json, settings: Partial<InjectionSettings> = {}): JsonObject {
  const injected = injectPod(of, { ...DEFAULT_INJECTION_SETTINGS, ...settings });
  assert.ok(injected.ok, injected.ok ? "" : injected.error.map(formatFault).join("\n"));
  return injected.value;
}

function faults(of: Json): string[] {
  const injected = injectPod(of, DEFAULT_INJECTION_SETTINGS);
  assert.ok(!injected.ok);
  return injected.error.map(formatFault);
}

const spec = (of: JsonObject): JsonObject => objectAt(of, "spec");
const names = (of: JsonObject, field: string): unknown[] => objectsAt(spec(of), field).map(({ name }) => name);
const container = (of: JsonObject, name: string): JsonObject => {
  const all = [...objectsAt(spec(of), "initContainers"), ...objectsAt(spec(of), "containers")];
  return all.find((one) => one["name"] === name) ?? assert.fail(`no ${name}`);
};

test("capture, then the sidecar, then the application's init containers; the application's containers stay first", () => {
  const injected = inject(pod({}, { initContainers: [{ name: "init", image: "i" }] }));
  assert.deepEqual(names(injected, "initContainers"), ["heddle-capture", "heddle-sidecar", "init"]);
  assert.deepEqual(names(injected, "containers"), ["app"]);
  assert.equal(container(injected, "heddle-sidecar")["restartPolicy"], "Always");
});

test("capabilities are in the capture container alone, and nobody there but it is root", () => {
  const injected = inject(pod());
  const capabilities = (name: string) =>
    objectAt(objectAt(container(injected, name), "securityContext"), "capabilities");
  assert.deepEqual(capabilities("heddle-capture"), { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] });
  assert.deepEqual(capabilities("heddle-sidecar"), { drop: ["ALL"] });
  const { runAsUser, runAsNonRoot, readOnlyRootFilesystem, allowPrivilegeEscalation } = objectAt(
    container(injected, "heddle-sidecar"),
    "securityContext",
  );
  assert.deepEqual(
    [runAsUser, runAsNonRoot, readOnlyRootFilesystem, allowPrivilegeEscalation],
    [1337, true, true, false],
  );
});

test("under TPROXY the sidecar is root of its own group with NET_ADMIN, without which no socket is transparent", () => {
  const injected = inject(pod({ "heddle.dev/capture": "tproxy" }));
  const { runAsUser, runAsGroup, runAsNonRoot, allowPrivilegeEscalation, capabilities } = objectAt(
    container(injected, "heddle-sidecar"),
    "securityContext",
  );
  assert.deepEqual([runAsUser, runAsGroup, runAsNonRoot, allowPrivilegeEscalation], [0, 1337, false, false]);
  assert.deepEqual(capabilities, { add: ["NET_ADMIN"], drop: ["ALL"] });
});

test("the lock of iptables-legacy lies where a container with a read-only root file system can write", () => {
  const { env, securityContext } = container(inject(pod()), "heddle-capture");
  assert.equal((securityContext as JsonObject)["readOnlyRootFilesystem"], true);
  assert.deepEqual(env, [{ name: "XTABLES_LOCKFILE", value: "/dev/shm/xtables.lock" }]);
});

test("with CNI an init container without any capability waits for the rules; where nothing is captured there is none", () => {
  const cni = (annotations: JsonObject = {}) => inject(pod(annotations), { cni: true });
  const validated = cni({ "heddle.dev/exclude-outbound-ports": "80" });
  assert.deepEqual(names(validated, "initContainers"), ["heddle-validation", "heddle-sidecar"]);
  const { args, securityContext } = container(validated, "heddle-validation");
  assert.deepEqual(args, ["capture", "--check", "--mode=redirect", "--exclude-outbound-ports=80"]);
  const { runAsUser, runAsNonRoot, capabilities } = securityContext as JsonObject;
  assert.deepEqual([runAsUser, runAsNonRoot, capabilities], [65_534, true, { drop: ["ALL"] }]);
  // What anybody else sends goes out: by what the sidecar sends to its own pod it can be told.
  const inboundOnly = container(cni({ "heddle.dev/exclude-outbound-ports": "*" }), "heddle-validation");
  assert.equal(objectAt(inboundOnly, "securityContext")["runAsUser"], 1337);
  const untold = cni({ "heddle.dev/exclude-outbound-ports": "*", "heddle.dev/capture": "tproxy" });
  assert.deepEqual(names(untold, "initContainers"), ["heddle-sidecar"]);
  assert.deepEqual(names(cni({ "heddle.dev/capture": "none" }), "initContainers"), ["heddle-sidecar"]);
  assert.deepEqual(names(inject(pod({ "heddle.dev/capture": "none" })), "initContainers"), ["heddle-sidecar"]);
  const plain = inject(pod({}, { initContainers: [{ name: "own" }] }), { cni: true, nativeSidecar: false });
  assert.deepEqual(names(plain, "initContainers"), ["own", "heddle-validation"]);
});

test("a plain container comes first and holds the application; capture is behind the application's init containers", () => {
  const injected = inject(pod({ "heddle.dev/native-sidecar": "false" }, { initContainers: [{ name: "init" }] }));
  assert.deepEqual(names(injected, "containers"), ["heddle-sidecar", "app"]);
  assert.deepEqual(names(injected, "initContainers"), ["init", "heddle-capture"]);
  assert.deepEqual(Object.keys(objectAt(container(injected, "heddle-sidecar"), "lifecycle")), ["postStart", "preStop"]);
  const { annotations } = objectAt(injected, "metadata");
  assert.equal((annotations as JsonObject)["kubectl.kubernetes.io/default-container"], "app");
});

test("probes are asked of the sidecar, which knows what to do by path; ports by name become numbers", () => {
  const injected = inject(
    pod(
      {},
      {},
      {
        ports: [{ name: "http", containerPort: 8080 }],
        livenessProbe: { httpGet: { path: "/live", port: "http", scheme: "HTTPS" }, periodSeconds: 3 },
        readinessProbe: { tcpSocket: { port: 8081 }, timeoutSeconds: 4 },
        startupProbe: { grpc: { port: 9000, service: "x" } },
        lifecycle: { preStop: { httpGet: { path: "/bye?$(POD_NAME)", port: 8080 } } },
      },
    ),
  );
  const app = container(injected, "app");
  assert.deepEqual(app["livenessProbe"], {
    httpGet: { path: "/app-health/app/livez", port: 15021, scheme: "HTTP" },
    periodSeconds: 3,
  });
  assert.deepEqual(app["readinessProbe"], {
    httpGet: { path: "/app-health/app/readyz", port: 15021 },
    timeoutSeconds: 4,
  });
  const env = objectsAt(container(injected, "heddle-sidecar"), "env");
  const value = env.find(({ name }) => name === "HEDDLE_APP_PROBES")?.["value"];
  assert.ok(typeof value === "string");
  assert.match(value, /\$\$\(POD_NAME\)/); // the kubelet must not expand it
  assert.deepEqual(JSON.parse(value.replaceAll("$$", "$")), {
    "/app-health/app/livez": { httpGet: { path: "/live", port: 8080, scheme: "HTTPS" }, timeoutSeconds: 1 },
    "/app-health/app/readyz": { tcpSocket: { port: 8081 }, timeoutSeconds: 4 },
    "/app-health/app/startupz": { grpc: { port: 9000, service: "x" }, timeoutSeconds: 1 },
    "/app-health/app/prestop": { httpGet: { path: "/bye?$(POD_NAME)", port: 8080 }, timeoutSeconds: 60 },
  });
});

test("what a kubelet asks for, the sidecar is not told otherwise: a path is encoded, and a wait is no longer than it takes", () => {
  const livenessProbe = { httpGet: { path: "/état ok?a=b%20c", port: 80 }, timeoutSeconds: 100_000 };
  const env = objectsAt(container(inject(pod({}, {}, { livenessProbe })), "heddle-sidecar"), "env");
  const value = env.find(({ name }) => name === "HEDDLE_APP_PROBES")?.["value"];
  assert.deepEqual(JSON.parse(value as string), {
    "/app-health/app/livez": { httpGet: { path: "/%C3%A9tat%20ok?a=b%20c", port: 80 }, timeoutSeconds: 3600 },
  });
});

test("left alone: probes of another host, by exec, of the sidecar's own port, of a port nobody has, and where the annotation says so", () => {
  for (const livenessProbe of [
    { httpGet: { path: "/", port: 80, host: "example.com" } },
    { exec: { command: ["true"] } },
    { httpGet: { path: "/healthz/ready", port: 15_021 } },
    { httpGet: { path: "/", port: "nobody" } },
  ])
    assert.deepEqual(container(inject(pod({}, {}, { livenessProbe })), "app")["livenessProbe"], livenessProbe);
  const livenessProbe = { httpGet: { path: "/", port: 80 } };
  const off = inject(pod({ "heddle.dev/rewrite-probes": "false" }, {}, { livenessProbe }));
  assert.deepEqual(container(off, "app")["livenessProbe"], livenessProbe);
});

test("annotations set the sidecar's image, level, workers and resources", () => {
  const injected = inject(
    pod({
      "heddle.dev/proxy-image": "mirror.example/heddle:2",
      "heddle.dev/proxy-log-level": "debug",
      "heddle.dev/proxy-concurrency": "2",
      "heddle.dev/proxy-cpu-request": "50m",
      "heddle.dev/proxy-cpu-limit": "1",
      "heddle.dev/proxy-memory-request": "200Mi",
      "heddle.dev/proxy-memory-limit": "1Gi",
    }),
  );
  const sidecar = container(injected, "heddle-sidecar");
  assert.equal(sidecar["image"], "mirror.example/heddle:2");
  const args = (sidecar["args"] as string[]).join(" ");
  assert.match(args, /--concurrency 2 --log-level debug/);
  assert.deepEqual(sidecar["resources"], {
    requests: { cpu: "50m", memory: "200Mi" },
    limits: { cpu: "1", memory: "1Gi" },
  });
});

test("a misspelt annotation and a value that is none are faults, all of them at once", () => {
  assert.deepEqual(
    faults(
      pod({ "heddle.dev/proxy-cpu": "1", "heddle.dev/native-sidecar": "no", "heddle.dev/proxy-concurrency": 2 }),
    ).map((fault) => fault.replace(/; there are .*/, "")),
    [
      'metadata.annotations["heddle.dev/proxy-cpu"]: is no annotation of Heddle',
      'metadata.annotations["heddle.dev/native-sidecar"]: found "no", allowed are "true" and "false"',
      'metadata.annotations["heddle.dev/proxy-concurrency"]: found 2, allowed is text (put it in quotes)',
    ],
  );
  assert.match(faults(pod({ "heddle.dev/proxy-memory-limit": "1Mi" }))[0]!, /the limit of memory is below the request/);
});

test("the template is merged over what injection adds, and over nothing else", () => {
  const template = `
containers:
  - name: heddle-sidecar
    env: [{name: EXTRA, value: "1"}, {name: NODE_NAME, $patch: delete}]
    livenessProbe: null
    resources: {limits: {memory: 2Gi}}
  - {name: helper, image: h}
terminationGracePeriodSeconds: 60
`;
  const injected = inject(pod({ "heddle.dev/template": template }));
  const sidecar = container(injected, "heddle-sidecar");
  const env = objectsAt(sidecar, "env").map(({ name }) => name);
  assert.ok(env.includes("EXTRA") && !env.includes("NODE_NAME") && env.includes("POD_NAME"));
  assert.equal(sidecar["livenessProbe"], undefined);
  assert.deepEqual(sidecar["resources"], { requests: { cpu: "100m", memory: "160Mi" }, limits: { memory: "2Gi" } });
  assert.deepEqual(names(injected, "containers"), ["app", "helper"]);
  assert.equal(spec(injected)["terminationGracePeriodSeconds"], 60);

  const of = (text: string) => faults(pod({ "heddle.dev/template": text }, { hostname: "h" })).join("\n");
  assert.match(of("containers: [{name: app, image: evil}]"), /"app" is in the manifest itself/);
  assert.match(of("hostname: other"), /hostname: the manifest itself says "h"/);
  assert.match(of("- a"), /allowed is one map/);
  assert.match(of("a: [b"), /allowed is YAML: template:1:/);
});

test("a pod that could not work with a sidecar is refused, with the place", () => {
  assert.deepEqual(faults({ spec: {} }), ["spec.containers: is missing: a pod has at least one container"]);
  assert.deepEqual(faults({}), ["spec: is missing"]);
  assert.match(
    faults(pod({}, {}, { name: "heddle-sidecar" }))[0]!,
    /^spec\.containers\[0\]\.name: found "heddle-sidecar"/,
  );
  assert.match(faults(pod({}, { volumes: [{ name: "heddle-ca" }] }))[0]!, /^spec\.volumes\[0\]\.name/);
  assert.match(
    faults(pod({}, {}, { ports: [{ containerPort: 15_006 }] }))[0]!,
    /^spec\.containers\[0\]\.ports\[0\]\.containerPort: found 15006/,
  );
});

test("W12: nobody but the sidecar has its user or its group, or could take them", () => {
  for (const field of ["runAsUser", "runAsGroup"]) {
    assert.match(
      faults(pod({}, {}, { securityContext: { [field]: 1337 } }))[0]!,
      new RegExp(`^spec\\.containers\\[0\\]\\.securityContext\\.${field}: found 1337, .* around the mesh`),
    );
    const initContainers = [{ name: "i", securityContext: { [field]: 1337 } }];
    assert.match(faults(pod({}, { initContainers }))[0]!, /^spec\.initContainers\[0\]/);
  }
  for (const context of [
    { runAsUser: 1337 },
    { runAsGroup: 1337 },
    { fsGroup: 1337 },
    { supplementalGroups: [1000, 1337] },
  ]) {
    const [field] = Object.keys(context);
    assert.match(faults(pod({}, { securityContext: context }))[0]!, new RegExp(`^spec\\.securityContext\\.${field}:`));
    const template = JSON.stringify({ securityContext: context });
    assert.match(
      faults(pod({ "heddle.dev/template": template }))[0]!,
      new RegExp(`^metadata\\.annotations\\["heddle\\.dev/template"\\]: securityContext\\.${field}: found 1337`),
    );
    inject(pod({ "heddle.dev/capture": "none" }, { securityContext: context })); // nothing there to go around
  }
  const helper = { name: "helper", securityContext: { runAsUser: 1337 }, ports: [{ containerPort: 15_001 }] };
  const added = faults(pod({ "heddle.dev/template": JSON.stringify({ containers: [helper] }) })).join("\n");
  assert.match(added, /template"\]: containers\[0\]\.securityContext\.runAsUser: .*\n.*containers\[0\]\.ports\[0\]/);
  inject(pod({}, { securityContext: { fsGroup: 1000, supplementalGroups: [1338] } }));
});

for (const [settings, name] of [
  [{ cni: true }, "heddle-capture"],
  [{}, "heddle-validation"],
] as const)
  test(`W12: ${name} is nobody's name where injection adds none: it would be taken for our own`, () => {
    const refusal = (of: JsonObject): string => {
      const injected = injectPod(of, { ...DEFAULT_INJECTION_SETTINGS, ...settings });
      assert.ok(!injected.ok);
      return injected.error.map(formatFault).join("\n");
    };
    const one = { name, image: "i", securityContext: { runAsUser: 1337, capabilities: { add: ["NET_ADMIN"] } } };
    for (const field of ["containers", "initContainers"]) {
      const own = field === "containers" ? [{ name: "app" }, one] : [one];
      assert.match(refusal(pod({}, { [field]: own })), /\.name: found "heddle-[a-z]+": the name is injection's own/);
      const template = JSON.stringify({ [field]: [one] });
      const said = refusal(pod({ "heddle.dev/template": template }));
      assert.match(said, /found a container "heddle-[a-z]+", which this pod is given none of/);
      assert.match(said, /runAsUser: found 1337/);
    }
  });

test("injecting twice is injecting once; uninjecting gives back what there was", () => {
  const before = pod(
    {},
    { initContainers: [{ name: "i" }], volumes: [{ name: "v" }] },
    { livenessProbe: { tcpSocket: { port: 80 } } },
  );
  for (const settings of [
    {},
    { nativeSidecar: false },
    { cni: true },
    { nativeSidecar: false, holdApplication: false },
  ]) {
    const once = inject(before, settings);
    assert.deepEqual(inject(once, settings), once);
    assert.deepEqual(uninjectPod(once), { ok: true, value: before });
  }
  for (const bare of [
    { spec: { containers: [{ name: "a" }] } },
    { metadata: null, spec: { containers: [{ name: "a" }], volumes: null } },
  ])
    assert.deepEqual(uninjectPod(inject(bare)), { ok: true, value: bare });
});

test("injecting anew brings what has changed in the settings, and keeps what has been changed in the pod since", () => {
  const once = inject(pod());
  const edited = { ...once, spec: { ...spec(once), hostname: "h" } };
  const anew = inject(edited, { image: "heddle/heddle:9" });
  assert.equal(container(anew, "heddle-sidecar")["image"], "heddle/heddle:9");
  assert.deepEqual(uninjectPod(anew), { ok: true, value: pod({}, { hostname: "h" }) });
});

test("a status that injection has not written is a fault, not a crash", () => {
  for (const status of [
    "",
    "{",
    "[]",
    '{"version":2}',
    '{"version":1,"added":[1],"was":{}}',
    '{"version":1,"added":[],"was":{"/a":1}}',
  ])
    assert.match(faults(pod({ "heddle.dev/status": status }))[0]!, /is not what heddle inject writes there/);
});

test("the workload is the controller's name, unless the pod's annotation says otherwise", () => {
  const workload = (of: JsonObject, context: { workload?: string }): unknown => {
    const injected = injectPod(of, DEFAULT_INJECTION_SETTINGS, context);
    assert.ok(injected.ok && isJsonObject(injected.value));
    return objectsAt(container(injected.value, "heddle-sidecar"), "env").find(
      ({ name }) => name === "HEDDLE_WORKLOAD",
    )?.["value"];
  };
  assert.equal(workload(pod(), { workload: "shop" }), "shop");
  assert.equal(workload(pod({ "heddle.dev/workload": "own" }), { workload: "shop" }), "own");
  assert.equal(workload(pod(), {}), "web");
});
