/*
 * Makes TLS handshakes for a while, so many at a time, and says how many: `node handshake-client.ts PORT SECONDS AT_ONCE KIND GROUPS
 * [CERTIFICATE KEY]`. KIND: full, or resumed (each with the newest ticket). One line of JSON: {handshakes, resumed, errors}.
 */
import { readFileSync } from "node:fs";
import { type ConnectionOptions, connect } from "node:tls";

const [port = "", seconds = "", atOnce = "", kind = "", groups = "", certificate, key] = process.argv.slice(2);
const options: ConnectionOptions = {
  host: "127.0.0.1",
  port: Number(port),
  servername: "back.bench",
  rejectUnauthorized: false,
  minVersion: "TLSv1.3",
  ecdhCurve: groups,
  ALPNProtocols: ["h2"],
  ...(certificate !== undefined && key !== undefined && { cert: readFileSync(certificate), key: readFileSync(key) }),
};
const counts = { handshakes: 0, resumed: 0, errors: 0 };
const until = performance.now() + Number(seconds) * 1000;
let session: Buffer | undefined;

/** What a client of HTTP/2 begins with: the preface and SETTINGS without any. */
const HELLO = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

async function one(): Promise<void> {
  const socket = connect({ ...options, ...(kind === "resumed" && session !== undefined && { session }) });
  socket.on("session", (made: Buffer) => (session = made));
  // The server's SETTINGS, which come with its tickets, say that it has taken the handshake as well.
  socket.once("data", () => socket.end());
  socket.write(HELLO);
  await new Promise<void>((resolve) => {
    socket.once("error", () => (counts.errors += 1));
    socket.once("secureConnect", () => {
      counts.handshakes += 1;
      if (socket.isSessionReused()) counts.resumed += 1;
    });
    socket.once("close", () => resolve());
  });
}

async function chain(): Promise<void> {
  while (performance.now() < until && counts.errors < 100) await one();
}

if (kind === "resumed") await one(); // for the first ticket
counts.handshakes = 0;
await Promise.all(Array.from({ length: Number(atOnce) }, chain));
console.log(JSON.stringify(counts));
