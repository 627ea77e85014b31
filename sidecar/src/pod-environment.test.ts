import assert from "node:assert/strict";
import { test } from "node:test";
import { podIps, podMetadata } from "./pod-environment.ts";

test("what the downward API tells of the pod becomes the node's metadata; elsewhere there is none", () => {
  const environment = { POD_NAME: "web-1", HEDDLE_CAPTURE: "tproxy", POD_IPS: "10.0.0.1,fd00::1" };
  assert.deepEqual(podMetadata(environment), {
    heddle: { pod: "web-1", capture: "tproxy", podIps: ["10.0.0.1", "fd00::1"] },
  });
  assert.deepEqual(podMetadata({}), {});
  assert.deepEqual(podMetadata({ POD_NAME: "web-1" }), {});
  assert.deepEqual(podIps({ POD_IPS: "10.0.0.1,,x" }), ["10.0.0.1"]);
});
