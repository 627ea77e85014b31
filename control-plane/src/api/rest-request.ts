import type { IncomingMessage } from "node:http";
import { err, ok, type Result } from "@heddle/base";
import { MAX_REQUEST_BYTES } from "./resource-limits.ts";
import type { ApiError, ApiErrorCode } from "./wire.ts";

/** An error with the HTTP status that it goes out with, where that is not its code's. */
export interface RestError {
  readonly error: ApiError;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export const HTTP_STATUS: Readonly<Record<ApiErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
};

export function restError(
  status: number,
  message: string,
  code: ApiErrorCode = "INVALID_ARGUMENT",
  headers: Readonly<Record<string, string>> = {},
): RestError {
  return { error: { code, message }, status, headers };
}

/** The segments of a path, decoded one by one: "%2F" belongs to a name. Nothing is resolved: ".." is a name like any other. */
export function pathSegments(path: string): Result<readonly string[], RestError> {
  if (!path.startsWith("/")) return err(restError(400, "the path must begin with /"));
  try {
    return ok(path.slice(1).split("/").map(decodeURIComponent));
  } catch {
    return err(restError(400, "the path has a % that is followed by no two hexadecimal digits of UTF-8"));
  }
}

/** What stands behind the question mark: each parameter once, and none that is not known here. */
export class Query {
  readonly #params: URLSearchParams;

  private constructor(params: URLSearchParams) {
    this.#params = params;
  }

  static read(text: string, allowed: readonly string[]): Result<Query, RestError> {
    const params = new URLSearchParams(text);
    for (const name of params.keys()) {
      if (!allowed.includes(name))
        return err(restError(400, `?${name} is not known here; allowed are ${allowed.join(", ")}`));
      if (params.getAll(name).length > 1) return err(restError(400, `?${name} stands there twice`));
    }
    return ok(new Query(params));
  }

  text(name: string): string {
    return this.#params.get(name) ?? "";
  }

  /** Undefined where it is left out. */
  integer(name: string): Result<number | undefined, RestError> {
    const text = this.#params.get(name);
    if (text === null) return ok(undefined);
    return /^\d{1,15}$/.test(text)
      ? ok(Number(text))
      : err(restError(400, `?${name}: found "${text}", allowed: a number`));
  }

  flag(name: string): Result<boolean, RestError> {
    const text = this.#params.get(name);
    if (text === null || text === "false") return ok(false);
    // Nothing behind the name: it is there.
    return text === "true" || text === ""
      ? ok(true)
      : err(restError(400, `?${name}: found "${text}", allowed: true, false`));
  }
}

export type ContentType = "application/json" | "application/yaml";

/** Strict: a browser can send a form or plain text to anybody, and neither of these two without being asked first. */
export function contentTypeOf(request: IncomingMessage): Result<ContentType, RestError> {
  const [type = "", ...parameters] = (request.headers["content-type"] ?? "").toLowerCase().split(";");
  const name = type.trim();
  const charset = parameters.map((parameter) => parameter.trim()).filter((parameter) => parameter !== "");
  const isKnown = name === "application/json" || name === "application/yaml";
  if (isKnown && charset.every((parameter) => /^charset="?utf-8"?$/.test(parameter))) return ok(name);
  return err(restError(415, "allowed content types are application/yaml and application/json, in UTF-8"));
}

/** What all bodies that are being read may have together: each is held until it is whole. */
const MAX_BODIES_BYTES = 64 * 1024 * 1024;

/** Bytes of the bodies that are being read. */
export class BodyRoom {
  #bytes = 0;

  /** False: there is no room for so many more. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > MAX_BODIES_BYTES) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** The whole body, as text. */
export async function readBody(request: IncomingMessage, room: BodyRoom): Promise<Result<string, RestError>> {
  const { "content-length": length, "content-encoding": encoding } = request.headers;
  if (encoding !== undefined && encoding !== "identity") return err(restError(415, "allowed is no content-encoding"));
  const tooLarge = restError(413, `a body may have ${MAX_REQUEST_BYTES} bytes`, "RESOURCE_EXHAUSTED");
  if (Number(length ?? 0) > MAX_REQUEST_BYTES) return err(tooLarge);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      const { length: more } = chunk as Buffer;
      if (bytes + more > MAX_REQUEST_BYTES) return err(tooLarge);
      if (!room.take(more)) return err(NO_ROOM);
      bytes += more;
      chunks.push(chunk as Buffer);
    }
  } catch {
    return err(restError(400, "the body ended early")); // nobody is there to be answered, and half of it must change nothing
  } finally {
    room.give(bytes);
  }
  try {
    return ok(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    return err(restError(400, "the body is no UTF-8"));
  }
}

const NO_ROOM: RestError = {
  error: { code: "RESOURCE_EXHAUSTED", message: "too many large bodies are being sent at a time", retryAfterS: 1 },
};
