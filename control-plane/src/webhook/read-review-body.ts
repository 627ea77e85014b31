import type { IncomingMessage } from "node:http";
import { err, ok, type Result } from "@heddle/base";
import type { StatusCode } from "./admission-review.ts";

/** A call that is answered with an HTTP status instead of a review. */
export interface CallFault {
  readonly code: StatusCode;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Bytes of the bodies that are being read. */
export class BodyRoom {
  readonly #mostBytes: number;
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** False: there is no room for so many more. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#mostBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** What its head says against reading a body; undefined: nothing. */
export function headFault({ headers }: IncomingMessage, maxBytes: number): CallFault | undefined {
  if (!isJson(headers["content-type"]))
    return { code: 415, message: "the content type must be application/json, in UTF-8" };
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    return { code: 415, message: "a content-encoding is not taken" };
  if (Number(headers["content-length"] ?? 0) > maxBytes) return tooLarge(maxBytes);
  return undefined;
}

/** The whole body, as text. */
export async function readReviewBody(
  request: IncomingMessage,
  maxBytes: number,
  room: BodyRoom,
): Promise<Result<string, CallFault>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      const { length } = chunk as Buffer;
      if (bytes + length > maxBytes) return err(tooLarge(maxBytes));
      if (!room.take(length))
        return err({
          code: 429,
          message: "too many reviews are being sent at a time",
          headers: { "retry-after": "1" },
        });
      bytes += length;
      chunks.push(chunk as Buffer);
    }
  } catch {
    return err({ code: 400, message: "the body ended early" }); // nobody is there to be answered
  } finally {
    room.give(bytes);
  }
  try {
    return ok(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    return err({ code: 400, message: "the body is no UTF-8" });
  }
}

function isJson(contentType: string | undefined): boolean {
  const [type = "", ...parameters] = (contentType ?? "").toLowerCase().split(";");
  return (
    type.trim() === "application/json" &&
    parameters.map((one) => one.trim()).every((one) => one === "" || /^charset="?utf-8"?$/.test(one))
  );
}

function tooLarge(maxBytes: number): CallFault {
  return { code: 413, message: `a review may have ${maxBytes} bytes` };
}
