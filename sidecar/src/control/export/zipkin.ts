import { Agent, request } from "node:http";
import type { SpanRecord } from "@heddle/telemetry";

const TIMEOUT_MS = 5000;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Sends spans as Zipkin's JSON (https://zipkin.io/zipkin-api/#/default/post_spans). Rejects unless the collector takes them. */
export function postSpans(url: string, host: string, serviceName: string, spans: readonly SpanRecord[]): Promise<void> {
  const body = JSON.stringify(spans.map((span) => toZipkin(span, serviceName)));
  return new Promise((resolve, reject) => {
    const headers = { host, "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const post = request(url, { method: "POST", agent, headers, timeout: TIMEOUT_MS }, (response) => {
      response.resume().on("end", () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve();
        else reject(new Error(`the collector answered ${statusCode}`));
      });
      response.on("error", reject);
    });
    post.on("timeout", () => post.destroy(new Error(`the collector did not answer within ${TIMEOUT_MS / 1000} s`)));
    post.on("error", reject);
    post.end(body);
  });
}

/** Times are whole microseconds, and a span lasts one at least. */
export function toZipkin(span: SpanRecord, serviceName: string): object {
  const tags: Record<string, string> = {};
  const { attributes } = span;
  for (let i = 0; i + 1 < attributes.length; i += 2) tags[attributes[i]!] = attributes[i + 1]!; // below the length
  return {
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentSpanId !== "" && { parentId: span.parentSpanId }),
    kind: span.kind.toUpperCase(),
    name: span.name,
    timestamp: Math.round(span.startWallMs * 1000),
    duration: Math.max(1, Math.round(span.durationMs * 1000)),
    localEndpoint: { serviceName },
    tags,
  };
}
