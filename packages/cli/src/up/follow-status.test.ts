import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import { followStatus } from "./follow-status.ts";

test("tells once what becomes wrong and that it is mended, and who is away and back", async (t) => {
  const fault = { severity: "error", file: "a.yaml", line: 3, column: 5, path: "spec", message: "is wrong" };
  const node = { id: "default/web/local", types: [] };
  const answers = [
    { nodes: [node], diagnostics: [] },
    { nodes: [node], diagnostics: [fault] },
    { nodes: [], diagnostics: [fault] },
    { nodes: [node], diagnostics: [] },
  ];
  const done = Promise.withResolvers<void>();
  const server = createServer((_request, response) => {
    const answer = answers.shift();
    if (answer === undefined) done.resolve();
    response.end(JSON.stringify(answer ?? { nodes: [node], diagnostics: [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const printed: string[] = [];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const follower = followStatus(url, ["default/web/local"], systemClock, (line) => printed.push(line));
  t.after(() => {
    follower.close();
    server.close();
    server.closeAllConnections();
  });
  await done.promise;
  assert.deepEqual(printed, [
    "error: a.yaml:3:5: spec: is wrong",
    "default/web/local is not connected to the control plane; it serves what it has",
    "mended: the configuration is in force as it stands",
    "default/web/local is connected to the control plane again",
  ]);
});
