import type { IncomingMessage, ServerResponse } from "node:http";
import { parse } from "yaml";
import type { Json } from "./kube-object.ts";
import { badRequest, StatusError } from "./status-error.ts";

const MAX_BODY_BYTES = 3 << 20;

export interface Body {
  /** Without parameters: "application/json". */
  readonly contentType: string;
  /** Undefined for an empty one. */
  readonly value: Json | undefined;
}

/** Reads JSON or YAML. Throws 413, 415 or 400. */
export async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new StatusError(413, "RequestEntityTooLarge", `Request entity too large: limit is ${MAX_BODY_BYTES}`);
    chunks.push(chunk);
  }
  const contentType = (request.headers["content-type"] ?? "application/json").split(";")[0]!.trim().toLowerCase();
  const text = Buffer.concat(chunks).toString();
  if (text === "") return { contentType, value: undefined };
  if (!/[/+](json|yaml)$/.test(contentType))
    throw new StatusError(
      415,
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml`,
    );
  try {
    return { contentType, value: (contentType.endsWith("yaml") ? parse(text) : JSON.parse(text)) as Json };
  } catch (error) {
    throw badRequest(`error decoding: ${(error as Error).message}`);
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  if (response.headersSent || response.writableEnded) return;
  const text = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}
