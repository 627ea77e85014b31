import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type TestContext, test } from "node:test";
import { type RunningMesh, startMesh } from "../harness/mesh.ts";

/*
 * An application finds its sidecar by `http_proxy` alone. How clients take that differs: some send the target in absolute
 * form, Node's fetch opens a tunnel with CONNECT even for plain HTTP.
 */

/** What a Node process prints that runs this code with its sidecar as proxy. */
async function runBehind(mesh: RunningMesh, workload: string, code: string, t: TestContext): Promise<string> {
  const port = mesh.addresses.workloads.find(({ name }) => name === workload)?.outboundPort;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    env: { ...process.env, NODE_USE_ENV_PROXY: "1", NODE_NO_WARNINGS: "1", http_proxy: `http://127.0.0.1:${port}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  await new Promise((resolve) => child.once("close", resolve));
  return output;
}

test("Node's fetch and Node's http reach services by their names through the sidecar's outbound port", async (t) => {
  const mesh = await startMesh("examples/shop", t);
  const fetched = await runBehind(
    mesh,
    "web",
    `for (let i = 0; i < 3; i++) {
       const answer = await fetch("http://stock/stock/reed");
       console.log(answer.status, (await answer.json()).version !== undefined);
     }
     console.log((await fetch("http://nowhere/")).status);`,
    t,
  );
  assert.equal(fetched, "200 true\n200 true\n200 true\n404\n");
  const asked = await runBehind(
    mesh,
    "web",
    `import http from "node:http";
     http.get("http://stock/stock/reed", (answer) => { answer.resume(); console.log(answer.statusCode); });`,
    t,
  );
  assert.equal(asked, "200\n");
});
