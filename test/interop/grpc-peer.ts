import { createHash } from "node:crypto";
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
} from "@grpc/grpc-js";
import type { Owner } from "../harness/owner.ts";

/*
 * The service that all gRPC peers of the tests speak, in whatever language: messages are bytes as they stand, so nobody
 * needs generated code.
 *
 *   Echo   one, one      the request; x-echo-initial comes back as initial metadata, x-echo-trailing-bin as trailing
 *   Sum    many, one     {"messages", "bytes", "sha256"} of all requests
 *   Emit   one, many     the request is a list of sizes: a message of each
 *   Chat   many, many    each request as it comes
 *   Fail   one, one      the request is {"code", "message"}: that status
 *   Hang   many, many    counts itself under x-id, sends one message where x-first is "1", and waits to be cancelled
 *   Seen   one, one      the request is an x-id: {"begun", "cancelled"} of its Hang calls
 */
const SERVICE = "heddle.interop.Peer";

export const LARGEST_MESSAGE = 16 * 1024 * 1024;

/** Messages of 4 MiB are a case, and more than gRPC takes by default. */
export const GRPC_LIMITS = {
  "grpc.max_receive_message_length": LARGEST_MESSAGE,
  "grpc.max_send_message_length": LARGEST_MESSAGE,
} as const;

export function methodPath(name: string): string {
  return `/${SERVICE}/${name}`;
}

export function asIs(bytes: Buffer): Buffer {
  return bytes;
}

/** grpc-js's server of the service, on a free port of loopback. */
export async function startGrpcPeer(owner: Owner): Promise<number> {
  const begun = new Map<string, number>();
  const cancelled = new Map<string, number>();
  const count = (map: Map<string, number>, id: string): void => void map.set(id, (map.get(id) ?? 0) + 1);

  const echo: handleUnaryCall<Buffer, Buffer> = (call, answer) => {
    const initial = new Metadata();
    const trailing = new Metadata();
    for (const value of call.metadata.get("x-echo-initial")) initial.add("x-echo-initial", value);
    for (const value of call.metadata.get("x-echo-trailing-bin")) trailing.add("x-echo-trailing-bin", value);
    call.sendMetadata(initial);
    answer(null, call.request, trailing);
  };
  const sum: handleClientStreamingCall<Buffer, Buffer> = (call, answer) => {
    const hash = createHash("sha256");
    let [messages, bytes] = [0, 0];
    call.on("data", (message: Buffer) => {
      messages += 1;
      bytes += message.length;
      hash.update(message);
    });
    call.on("error", () => {}); // the caller is gone
    call.on("end", () => answer(null, Buffer.from(JSON.stringify({ messages, bytes, sha256: hash.digest("hex") }))));
  };
  const emit: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    for (const size of JSON.parse(String(call.request)) as number[]) call.write(Buffer.alloc(size, "e"));
    call.end();
  };
  const chat: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on("data", (message: Buffer) => call.write(message));
    call.on("error", () => {});
    call.on("end", () => call.end());
  };
  const fail: handleUnaryCall<Buffer, Buffer> = (call, answer) => {
    const { code, message } = JSON.parse(String(call.request)) as { code: number; message: string };
    answer({ code, details: message });
  };
  const hang: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    const id = String(call.metadata.get("x-id")[0]);
    count(begun, id);
    call.on("cancelled", () => count(cancelled, id));
    call.on("error", () => {});
    if (call.metadata.get("x-first")[0] === "1") call.write(Buffer.from("first"));
  };
  const seen: handleUnaryCall<Buffer, Buffer> = (call, answer) => {
    const id = String(call.request);
    answer(null, Buffer.from(JSON.stringify({ begun: begun.get(id) ?? 0, cancelled: cancelled.get(id) ?? 0 })));
  };

  const server = new Server(GRPC_LIMITS);
  server.addService(
    {
      echo: method("Echo", false, false),
      sum: method("Sum", true, false),
      emit: method("Emit", false, true),
      chat: method("Chat", true, true),
      fail: method("Fail", false, false),
      hang: method("Hang", true, true),
      seen: method("Seen", false, false),
    },
    { echo, sum, emit, chat, fail, hang, seen },
  );
  owner.after(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path: methodPath(name),
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}
