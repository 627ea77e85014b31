import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import type { Owner } from "./owner.ts";
import {
  bytesAt,
  doubleAt,
  messagesAt,
  numberAt,
  packedFixed64,
  readWire,
  textAt,
  type WireMessage,
} from "./protobuf-wire.ts";

/* What an OTLP receiver gets (opentelemetry-proto 1.x), as the tests look at it. */

export interface ReceivedSpan {
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: string;
  readonly traceId: string;
  readonly spanId: string;
  /** "" for a root. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: "internal" | "server" | "client" | "other";
  readonly startMs: number;
  readonly endMs: number;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ReceivedMetric {
  readonly resource: Readonly<Record<string, string>>;
  readonly name: string;
  readonly kind: "gauge" | "sum" | "histogram";
  readonly points: readonly ReceivedPoint[];
}

export interface ReceivedPoint {
  readonly attributes: Readonly<Record<string, string>>;
  /** Of a histogram the count. */
  readonly value: number;
  readonly sum: number;
  readonly bucketCounts: readonly number[];
}

/** An OTLP receiver that remembers everything. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** The latest of each name. */
  readonly metrics = new Map<string, ReceivedMetric>();
  /** Of the last export: HTTP's headers, or gRPC's metadata. */
  headers: Readonly<Record<string, string>> = {};
  requests = 0;
  port = 0;

  take(path: string, body: Buffer): void {
    this.requests++;
    const request = readWire(body);
    if (/trace/i.test(path)) for (const one of messagesAt(request, 1)) this.spans.push(...spansOf(one));
    else if (/metric/i.test(path)) {
      for (const one of messagesAt(request, 1)) for (const m of metricsOf(one)) this.metrics.set(m.name, m);
    } else throw new Error(`nothing is served at ${path}`);
  }
}

/** OTLP over HTTP on a free port of loopback, or on that one. */
export async function httpReceiver(owner: Owner, port = 0): Promise<OtlpReceiver> {
  const receiver = new OtlpReceiver();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      receiver.headers = request.headers as Record<string, string>;
      receiver.take(request.url ?? "", Buffer.concat(chunks));
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  owner.after(() => {
    server.closeAllConnections();
    server.close();
  });
  receiver.port = (server.address() as AddressInfo).port;
  return receiver;
}

/** OTLP over gRPC on a free port of loopback. */
export async function grpcReceiver(owner: Owner): Promise<OtlpReceiver> {
  const receiver = new OtlpReceiver();
  const server = new Server();
  for (const path of [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
  ]) {
    const asIs = (bytes: Buffer): Buffer => bytes;
    const method = { path, requestStream: false, responseStream: false, requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs } as const; // biome-ignore format: a table
    const handler = (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
      receiver.headers = call.metadata.getMap() as Record<string, string>;
      receiver.take(path, call.request);
      answer(null, Buffer.alloc(0));
    };
    server.addService({ export: method }, { export: handler });
  }
  receiver.port = await new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  owner.after(() => server.forceShutdown());
  return receiver;
}

const KINDS: Readonly<Record<number, ReceivedSpan["kind"]>> = { 1: "internal", 2: "server", 3: "client" };
const ERROR = 2n;

function spansOf(resourceSpans: WireMessage): ReceivedSpan[] {
  const resource = attributesAt(readWire(bytesAt(resourceSpans, 1)), 1);
  return messagesAt(resourceSpans, 2).flatMap((scopeSpans) =>
    messagesAt(scopeSpans, 2).map((span) => ({
      resource,
      scope: textAt(readWire(bytesAt(scopeSpans, 1)), 1),
      traceId: bytesAt(span, 1).toString("hex"),
      spanId: bytesAt(span, 2).toString("hex"),
      parentSpanId: bytesAt(span, 4).toString("hex"),
      name: textAt(span, 5),
      kind: KINDS[Number(numberAt(span, 6))] ?? "other",
      startMs: Number(numberAt(span, 7)) / 1e6,
      endMs: Number(numberAt(span, 8)) / 1e6,
      isError: numberAt(readWire(bytesAt(span, 15)), 3) === ERROR,
      attributes: attributesAt(span, 9),
    })),
  );
}

function metricsOf(resourceMetrics: WireMessage): ReceivedMetric[] {
  const resource = attributesAt(readWire(bytesAt(resourceMetrics, 1)), 1);
  return messagesAt(resourceMetrics, 2)
    .flatMap((scopeMetrics) => messagesAt(scopeMetrics, 2))
    .map((metric) => {
      const name = textAt(metric, 1);
      const histogram = metric.has(9);
      const kind = histogram ? "histogram" : metric.has(7) ? "sum" : "gauge";
      const data = readWire(bytesAt(metric, histogram ? 9 : metric.has(7) ? 7 : 5));
      return { resource, name, kind, points: messagesAt(data, 1).map(histogram ? histogramPoint : numberPoint) };
    });
}

function numberPoint(point: WireMessage): ReceivedPoint {
  const value = point.has(6) ? Number(BigInt.asIntN(64, numberAt(point, 6))) : doubleAt(point, 4);
  return { attributes: attributesAt(point, 7), value, sum: 0, bucketCounts: [] };
}

function histogramPoint(point: WireMessage): ReceivedPoint {
  return {
    attributes: attributesAt(point, 9),
    value: Number(numberAt(point, 4)),
    sum: doubleAt(point, 5),
    bucketCounts: packedFixed64(point, 6).map(Number),
  };
}

/** Text alone; other values are left out. */
function attributesAt(message: WireMessage, field: number): Record<string, string> {
  return Object.fromEntries(
    messagesAt(message, field).map((pair) => [textAt(pair, 1), textAt(readWire(bytesAt(pair, 2)), 1)]),
  );
}
