import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { bytesOf } from "./echo-server.ts";
import type { Json } from "./envoy-config.ts";
import { decodeForeign, encodeForeign } from "./foreign-protos.ts";
import type { Owner } from "./owner.ts";

/*
 * Services that `ext_authz` asks: one of gRPC on grpc-js with Envoy's own messages, one of HTTP on node:http. Both keep what they
 * are asked and answer as the test says.
 */

/** `envoy.service.auth.v3.CheckRequest`, as proto-loader gives it: defaults filled in. */
export type Check = {
  readonly attributes: {
    readonly source: Peer;
    readonly destination: Peer;
    readonly request: { readonly time: { readonly seconds: string }; readonly http: CheckedRequest };
    readonly context_extensions: Readonly<Record<string, string>>;
    readonly metadata_context: Json | null;
    readonly route_metadata_context: Json | null;
    readonly tls_session: { readonly sni: string } | null;
  };
};

interface Peer {
  readonly address: { readonly socket_address?: { readonly address: string; readonly port_value: number } };
  readonly service: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly principal: string;
  readonly certificate: string;
}

export interface CheckedRequest {
  readonly id: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly header_map: { readonly headers: readonly { readonly key: string; readonly raw_value: Buffer }[] } | null;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly query: string;
  readonly fragment: string;
  readonly size: string;
  readonly protocol: string;
  readonly body: string;
  readonly raw_body: Buffer;
}

const PATH = "/envoy.service.auth.v3.Authorization/Check";
const REQUEST = "envoy.service.auth.v3.CheckRequest";
const RESPONSE = "envoy.service.auth.v3.CheckResponse";

/** What a gRPC authorizer answers: a `CheckResponse` in snake_case, its bytes, a gRPC status, or nothing ever. */
export type Verdict = Json | Buffer | { readonly status: number } | "never";

export class GrpcAuthorizer {
  port = 0;
  readonly checks: Check[] = [];
  readonly metadata: Metadata[] = [];
  /** Calls that their caller has given up. */
  cancelled = 0;
  answer: (check: Check) => Verdict = () => ({ status: { code: 0 } });

  static async listen(owner: Owner): Promise<GrpcAuthorizer> {
    const authorizer = new GrpcAuthorizer();
    const server = new Server();
    server.addService(
      {
        check: {
          path: PATH,
          requestStream: false,
          responseStream: false,
          requestDeserialize: (bytes: Buffer) => bytes,
          requestSerialize: (bytes: Buffer) => bytes,
          responseDeserialize: (bytes: Buffer) => bytes,
          responseSerialize: (bytes: Buffer) => bytes,
        },
      },
      { check: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => authorizer.#check(call, done) },
    );
    authorizer.port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
    owner.after(() => server.forceShutdown());
    return authorizer;
  }

  #check(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void {
    const check = decodeForeign<Check>(REQUEST, call.request);
    this.checks.push(check);
    this.metadata.push(call.metadata);
    call.on("cancelled", () => this.cancelled++);
    const verdict = this.answer(check);
    if (verdict === "never") return;
    if (Buffer.isBuffer(verdict)) done(null, verdict);
    else if (typeof verdict["status"] === "number") done({ code: verdict["status"], details: "as told" });
    else done(null, encodeForeign(RESPONSE, verdict));
  }
}

/** A request that an HTTP authorizer has got. */
export interface HttpCheck {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpVerdict {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer;
}

export class HttpAuthorizer {
  port = 0;
  readonly checks: HttpCheck[] = [];
  answer: (check: HttpCheck) => HttpVerdict | "never" = () => ({ status: 200 });

  static async listen(owner: Owner): Promise<HttpAuthorizer> {
    const authorizer = new HttpAuthorizer();
    const server = createServer((request, response) => {
      void bytesOf(request).then((body) => {
        const check = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
        authorizer.checks.push(check);
        const verdict = authorizer.answer(check);
        if (verdict === "never") return;
        response.writeHead(verdict.status, verdict.headers as Record<string, string | string[]>);
        response.end(verdict.body);
      });
    });
    server.listen(0, "127.0.0.1");
    owner.after(() => {
      server.close();
      server.closeAllConnections();
    });
    await once(server, "listening");
    authorizer.port = (server.address() as AddressInfo).port;
    return authorizer;
  }
}
