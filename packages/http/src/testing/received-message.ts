import type { Failure } from "@heddle/base";
import type { RequestDecoder, ResponseDecoder, ResponseEncoder } from "../codec.ts";
import type { RequestHead, ResponseHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";

/** One message as it arrived. Data are joined, so that the cuts between reads do not show. For tests. */
export class ReceivedMessage<Head> {
  readonly informational: ResponseHead[] = [];
  head: Head | undefined = undefined;
  body = "";
  trailers: Record<string, string> | undefined = undefined;
  ended = false;
  failure: Failure | undefined = undefined;
  drained = 0;

  onInformational(head: ResponseHead): void {
    this.informational.push(head);
  }

  onHead(head: Head, endStream: boolean): void {
    if (this.head !== undefined || this.failure !== undefined) throw new Error("a second head, or one after a reset");
    this.head = head;
    this.ended = endStream;
  }

  onData(chunk: Uint8Array, endStream: boolean): void {
    if (this.head === undefined || this.ended || this.failure !== undefined) throw new Error("data out of place");
    this.body += Buffer.from(chunk).toString("latin1");
    this.ended = endStream;
  }

  onTrailers(trailers: HeaderMap): void {
    if (this.head === undefined || this.ended || this.failure !== undefined) throw new Error("trailers out of place");
    this.trailers = entries(trailers);
    this.ended = true;
  }

  onReset(failure: Failure): void {
    if (this.failure !== undefined) throw new Error("a second reset");
    this.failure = failure;
  }

  onDrain(): void {
    this.drained++;
  }
}

export class ReceivedRequest extends ReceivedMessage<RequestHead> implements RequestDecoder {
  readonly encoder: ResponseEncoder;

  constructor(encoder: ResponseEncoder) {
    super();
    this.encoder = encoder;
  }
}

export class ReceivedResponse extends ReceivedMessage<ResponseHead> implements ResponseDecoder {}

/** Fields by name; values of a repeated name are joined by a bar. */
export function entries(headers: HeaderMap): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < headers.fields.length; i += 2) {
    const name = headers.fields[i]!; // names stand at even places
    record[name] = name in record ? `${record[name]}|${headers.fields[i + 1]}` : headers.fields[i + 1]!;
  }
  return record;
}

/** Messages, in a form that is equal whatever the cuts were. */
export function summary(messages: readonly ReceivedMessage<RequestHead | ResponseHead>[]): unknown {
  return messages.map((message) => ({
    informational: message.informational.map((head) => head.status),
    head: message.head,
    body: message.body,
    trailers: message.trailers,
    ended: message.ended,
    failure: message.failure,
  }));
}
