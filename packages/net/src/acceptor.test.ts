import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";

/* What happens without descriptors needs a process that has few. */
const PROGRAM = `
import { Acceptor } from ${JSON.stringify(new URL("./acceptor.ts", import.meta.url).href)};
import { reusePortOpener } from ${JSON.stringify(new URL("./listen-socket.ts", import.meta.url).href)};
const opened = await reusePortOpener().open({ type: "socket", address: "127.0.0.1", port: 0 }, { backlog: undefined });
const held = [];
new Acceptor(opened.value.newTarget(), { backlog: undefined, highWatermarkBytes: 1, rewrap: true }, {
  onListening: () => process.send({ port: opened.value.address.port }),
  onConnection: (connection) => {
    held.push(connection);
    connection.start({ onData() {}, onEnd() {}, onDrain() {}, onClose() {} });
    connection.writeLatin1("hello");
  },
  onStopped: (reason) => process.send({ stopped: reason }),
});
process.on("message", (what) => {
  if (what === "release") for (const connection of held.splice(0)) connection.destroy();
  process.send({ held: held.length, cpuUs: process.cpuUsage().user + process.cpuUsage().system });
});
`;

test("out of descriptors, what cannot be held is closed without spinning, and accepting goes on", async (t) => {
  const program = ["--conditions=heddle-src", "--input-type=module", "--eval", PROGRAM];
  const child = spawn("sh", ["-c", 'ulimit -n 64; exec "$0" "$@"', process.execPath, ...program], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  t.after(() => child.kill("SIGKILL"));
  const ask = async (what: string): Promise<Record<string, number>> => {
    child.send(what);
    const [answer] = await once(child, "message");
    return answer as Record<string, number>;
  };
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const open = (): Socket => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    sockets.push(socket);
    return socket;
  };
  const first = Array.from({ length: 80 }, open);
  let closed = 0;
  for (const socket of first) socket.resume().on("close", () => closed++);
  let state = await ask("how");
  while (state["held"] === 0 || (state["held"] ?? 0) + closed < 80) state = await ask("how");
  assert.ok(closed > 0 && (state["held"] ?? 0) < 64);

  const before = (await ask("how"))["cpuUs"] ?? 0;
  for (let i = 0; i < 5; i++) await new Promise((resolve) => first[0]?.setTimeout(50, () => resolve(undefined)));
  const spent = ((await ask("how"))["cpuUs"] ?? 0) - before;
  assert.ok(spent < 100_000, `${spent} µs of CPU while nothing happened`);

  await ask("release");
  const late = open();
  const [greeting] = await once(late, "data");
  assert.equal(String(greeting), "hello");
});
