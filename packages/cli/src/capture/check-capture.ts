import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { type Clock, err, ok, type Result } from "@heddle/base";
import { type CaptureWitness, captureWitness, type Family, type ResolvedCapture } from "@heddle/capture";

/** So long one connection may take to arrive. */
const ARRIVAL_MS = 1000;
const PAUSE_MS = 250;

export interface CaptureCheckOptions {
  /** Rules that are still being set, or that are being mended, are waited for. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Whether this process is the sidecar's user or group, whose traffic other rules lead. */
  readonly isProxy: boolean;
}

/**
 * Whether a pod's traffic is captured, found out by sending some: what NET_ADMIN is not needed for. Each family of addresses that leads anywhere has to
 * be captured. Has to run before the sidecar, at whose ports it listens. The error says what is not as it should be.
 */
export async function checkCapture(
  capture: ResolvedCapture,
  { timeoutMs, clock, isProxy }: CaptureCheckOptions,
): Promise<Result<readonly Family[], string>> {
  const witnesses = capture.families.flatMap((family) => {
    const witness = captureWitness(capture, family);
    return witness === undefined || witness.asProxy !== isProxy ? [] : [[family, witness] as const];
  });
  if (witnesses.length === 0)
    return err(
      `these settings capture nothing that ${isProxy ? "the sidecar's user" : "a user other than the sidecar's"} could try from here`,
    );
  const captured: Family[] = [];
  const endMs = clock.now() + timeoutMs;
  for (const [family, witness] of witnesses) {
    const address = witness.address ?? ownAddress(family);
    if (address === undefined) continue;
    let looks = timeoutMs > 0 ? 2 : 1; // rules that are being set may lead nowhere for a moment
    for (;;) {
      const tried = await tryOnce(witness, address, family, clock);
      if (!tried.ok) return tried;
      if (tried.value === "captured") {
        captured.push(family);
        break;
      }
      if (tried.value === "unreachable" && --looks === 0) break;
      if (tried.value === "passed" && clock.now() >= endMs)
        return err(`what is sent to ${address} port ${witness.port} does not arrive at port ${witness.arrivesAt}`);
      await new Promise<void>((resolve) => void clock.after(PAUSE_MS, resolve));
    }
  }
  return captured.length > 0 ? ok(captured) : err("no address can be reached from here, so nothing can be told");
}

/** "unreachable": this family leads nowhere, captured or not. */
type Tried = "captured" | "passed" | "unreachable";

async function tryOnce(
  witness: CaptureWitness,
  address: string,
  family: Family,
  clock: Clock,
): Promise<Result<Tried, string>> {
  const loopback = family === "ipv4" ? "127.0.0.1" : "::1"; // where the kernel redirects what is sent from here
  const server = createServer();
  const listening = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once("error", resolve);
    server.listen({ host: loopback, port: witness.arrivesAt, exclusive: true }, () => resolve(undefined));
  });
  if (listening !== undefined) {
    const { code = listening.message } = listening;
    if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") return ok("unreachable");
    return err(`port ${witness.arrivesAt} cannot be listened on (${code}): this is to run before the sidecar`);
  }
  try {
    return ok(await arrival(server, address, witness.port, clock));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Told by its source port: others may connect to the sidecar's port as well. */
function arrival(server: Server, address: string, port: number, clock: Clock): Promise<Tried> {
  return new Promise((resolve) => {
    const arrived: Socket[] = [];
    const client = connect({ host: address, port });
    const end = (tried: Tried): void => {
      timer.cancel();
      for (const socket of [client, ...arrived]) socket.destroy();
      resolve(tried);
    };
    const timer = clock.after(ARRIVAL_MS, () => end("passed"));
    const look = (): void => {
      const { port: from } = client.address() as Partial<AddressInfo>;
      if (from !== undefined && arrived.some(({ remotePort }) => remotePort === from)) end("captured");
    };
    server.on("connection", (socket: Socket) => {
      socket.on("error", () => undefined);
      arrived.push(socket);
      look();
    });
    client.on("connect", look);
    client.on("error", ({ code }: NodeJS.ErrnoException) =>
      end(code === "ENETUNREACH" || code === "EADDRNOTAVAIL" ? "unreachable" : "passed"),
    );
  });
}

function ownAddress(family: Family): string | undefined {
  const name = family === "ipv4" ? "IPv4" : "IPv6";
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find((one) => one.family === name && !one.internal && !one.address.startsWith("fe80:"))?.address;
}
