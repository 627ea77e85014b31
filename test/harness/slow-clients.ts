/*
 * A program: clients that keep a server's connections open by being slow. `node slow-clients.ts PORT WRITERS READERS`;
 * it says "ready" on a line of its own once all are connected, and ends when its input does.
 *
 * Writers send a head without end, a byte each second. Readers ask for /huge and read a little of it each second.
 */
import { connect, type Socket } from "node:net";

const [port = 0, writers = 0, readers = 0] = process.argv.slice(2).map(Number);
const BYTES_AT_ONCE = 512;
const sockets: Socket[] = [];
/** What each client does once a second. */
const steps: (() => void)[] = [];

function connected(socket: Socket): Promise<void> {
  sockets.push(socket);
  return new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the server has closed a slow client's connection")));
  });
}

async function writer(): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await connected(socket);
  socket.write("GET /small HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  steps.push(() => void socket.write("x"));
}

async function reader(): Promise<void> {
  // `callback` answers that nothing more shall be read for now.
  const onread = { buffer: Buffer.alloc(BYTES_AT_ONCE), callback: () => false };
  const socket = connect({ host: "127.0.0.1", port, onread });
  await connected(socket);
  socket.write("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
  steps.push(() => void socket.resume());
}

for (let i = 0; i < Math.max(writers, readers); i += 50) {
  await Promise.all([
    ...Array.from({ length: Math.min(50, writers - i) }, writer),
    ...Array.from({ length: Math.min(50, readers - i) }, reader),
  ]);
}
process.stdout.write("ready\n");

// Spread over the second, as a thousand clients are.
let next = 0;
const timer = setInterval(() => {
  for (let i = 0; i < steps.length / 50; i++) steps[next++ % steps.length]?.();
}, 20);

process.stdin.resume().on("end", () => {
  clearInterval(timer);
  for (const socket of sockets) socket.removeAllListeners("close").destroy();
});
