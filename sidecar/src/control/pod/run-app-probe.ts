import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, isIPv6, type Socket } from "node:net";
import type { AppProbe } from "./app-probes.ts";

/** What the kubelet is told: 200, or why not, without a word of what the application said. */
export interface ProbeOutcome {
  readonly status: number;
  readonly reason: string;
}

const OK: ProbeOutcome = { status: 200, reason: "ok" };
/** The kubelet's. */
const MAX_REDIRECTS = 10;
const MAX_HEADER_BYTES = 16 * 1024;
/** The kubelet reads so much of an answer. */
const MAX_BODY_BYTES = 10 * 1024;
/** Of an answer in gRPC: a status is two bytes. */
const MAX_MESSAGE_BYTES = 1024;

/** Where the application is asked. */
export interface ProbePlace {
  readonly host: string;
  /** The source address; undefined: the system chooses. One that the pod does not have is done without. */
  readonly from: string | undefined;
}

/**
 * Does one probe of the application from within its pod, at the pod's own address: where the kubelet would have asked. It concludes as the
 * kubelet does: of HTTP any status from 200 to 399 once redirections to the same host are followed, certificates are not looked at; of
 * TCP a connection; of gRPC `SERVING` from grpc.health.v1.Health. Never throws.
 */
export async function runAppProbe(probe: AppProbe, place: ProbePlace, userAgent: string): Promise<ProbeOutcome> {
  const signal = AbortSignal.timeout(probe.timeoutMs);
  try {
    switch (probe.type) {
      case "http":
        return await probeHttp(probe, place, userAgent, signal);
      case "tcp":
        return await probeTcp(probe.port, place, signal);
      case "grpc":
        return await probeGrpc(probe, place, userAgent, signal);
      default:
        throw new Error(`unknown probe ${(probe satisfies never as AppProbe).type}`);
    }
  } catch (error) {
    if (place.from !== undefined && codeOf(error) === "EADDRNOTAVAIL")
      return runAppProbe(probe, { ...place, from: undefined }, userAgent);
    if (signal.aborted) return { status: 504, reason: `the application has not answered within ${probe.timeoutMs} ms` };
    return { status: 503, reason: `the application cannot be reached: ${codeOf(error)}` };
  }
}

type HttpProbe = AppProbe & { readonly type: "http" };

async function probeHttp(
  probe: HttpProbe,
  { host, from }: ProbePlace,
  userAgent: string,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const origin = new URL(`${probe.tls ? "https" : "http"}://${isIPv6(host) ? `[${host}]` : host}:${probe.port}`);
  const named = probe.headers.find(([name]) => name.toLowerCase() === "host")?.[1];
  const headers = new Map<string, string[]>([
    ["user-agent", [userAgent]],
    ["accept", ["*/*"]],
  ]);
  for (const name of new Set(probe.headers.map(([name]) => name.toLowerCase())))
    headers.set(
      name,
      probe.headers.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value),
    );
  let [url, path]: [URL, string] = [origin, probe.path];
  for (let redirects = 0; ; redirects++) {
    const { status, location } = await getOnce(url, path, headers, from, signal);
    if (status < 200 || status >= 400)
      return { status: status < 200 ? 503 : status, reason: `the application answered ${status}` };
    if (location === undefined || ![301, 302, 303, 307, 308].includes(status)) return OK;
    const next = URL.parse(location, new URL(path, url).href);
    // Elsewhere: the kubelet does not follow, and passes.
    const isSameHost =
      next !== null && (next.hostname === url.hostname || next.hostname === named?.replace(/:\d+$/, ""));
    if (!isSameHost || !/^https?:$/.test(next.protocol)) return OK;
    if (redirects >= MAX_REDIRECTS)
      return { status: 503, reason: `the application redirects more than ${MAX_REDIRECTS} times` };
    // Whatever it is called there, it is this pod; no other port than the one that was configured is asked.
    url = new URL(origin);
    path = next.pathname + next.search;
  }
}

function getOnce(
  url: URL,
  path: string,
  headers: ReadonlyMap<string, string[]>,
  from: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === "https:";
    const options = {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port,
      localAddress: from,
      path,
      agent: false as const,
      signal,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Of Host and the like Node takes no list.
      headers: Object.fromEntries(
        [...headers].map(([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]),
      ),
    };
    // As the kubelet: the application proves nothing here, it is asked whether it lives.
    const request = secure
      ? httpsRequest({ ...options, rejectUnauthorized: false, servername: "" })
      : httpRequest(options);
    request.on("error", reject);
    request.on("response", (response: IncomingMessage) => {
      let bytes = 0;
      const end = (): void => {
        resolve({ status: response.statusCode ?? 0, location: response.headers.location });
        request.destroy();
      };
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_BODY_BYTES) end();
      });
      response.on("end", end);
      response.on("error", reject);
    });
    request.end();
  });
}

function dial(port: number, { host, from }: ProbePlace): Socket {
  return connect({ host, port, ...(from !== undefined && { localAddress: from }) });
}

function probeTcp(port: number, place: ProbePlace, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    const socket = dial(port, place);
    const abort = (): void => void socket.destroy(new Error("timed out"));
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.destroy();
      resolve(OK);
    });
    socket.once("close", () => signal.removeEventListener("abort", abort));
  });
}

async function probeGrpc(
  probe: AppProbe & { readonly type: "grpc" },
  { host, from }: ProbePlace,
  userAgent: string,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const session = connectHttp2(`http://${isIPv6(host) ? `[${host}]` : host}:${probe.port}`, {
    createConnection: () => dial(probe.port, { host, from }),
  });
  const abort = (): void => session.destroy(new Error("timed out"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await new Promise<ProbeOutcome>((resolve, reject) => {
      session.on("error", reject);
      session.on("close", () => reject(new Error("the connection ended")));
      const stream = session.request({
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Check",
        "content-type": "application/grpc",
        "user-agent": userAgent,
        te: "trailers",
      });
      const chunks: Buffer[] = [];
      let grpcStatus: string | undefined;
      const look = (fields: Readonly<Record<string, unknown>>): void => {
        const status = fields["grpc-status"];
        if (typeof status === "string") grpcStatus = status;
      };
      stream.on("error", reject);
      stream.on("response", look);
      stream.on("trailers", look);
      stream.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (chunks.reduce((sum, { length }) => sum + length, 0) > MAX_MESSAGE_BYTES)
          resolve({ status: 503, reason: "the application's answer is no health status" });
      });
      stream.on("end", () => {
        if (grpcStatus !== "0")
          resolve({ status: 503, reason: `the application answered grpc-status ${grpcStatus ?? "none"}` });
        else if (isServing(Buffer.concat(chunks))) resolve(OK);
        else resolve({ status: 503, reason: "the application is not SERVING" });
      });
      stream.end(healthCheckRequest(probe.service));
    });
  } finally {
    signal.removeEventListener("abort", abort);
    session.on("error", () => {}); // nobody waits for it any more
    session.destroy();
  }
}

/** grpc.health.v1.HealthCheckRequest { string service = 1 }, with gRPC's prefix. */
function healthCheckRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const length = name.length < 128 ? [name.length] : [(name.length & 0x7f) | 0x80, name.length >> 7];
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, ...length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** grpc.health.v1.HealthCheckResponse { ServingStatus status = 1 }, of which SERVING is 1. */
function isServing(body: Buffer): boolean {
  return body.length === 7 && body.readUInt32BE(1) === 2 && body[0] === 0 && body[5] === 0x08 && body[6] === 1;
}

function codeOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === "string" ? code : "the connection ended";
}
