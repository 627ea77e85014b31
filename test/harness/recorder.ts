import { once } from "node:events";
import { createServer, type OutgoingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { bytesOf } from "./echo-server.ts";
import type { Owner } from "./owner.ts";

export interface RecordedRequest {
  readonly method: string;
  readonly url: string;
  /** In the order in which they came. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** An upstream of HTTP/1 on node:http that keeps what reaches it. */
export class Recorder {
  port = 0;
  readonly requests: RecordedRequest[] = [];
  headers: OutgoingHttpHeaders = {};
  body = "recorded";

  static async listen(owner: Owner): Promise<Recorder> {
    const recorder = new Recorder();
    const server = createServer((request, response) => {
      void bytesOf(request).then(
        (body) => {
          const { method = "", url = "", rawHeaders } = request;
          const headers = rawHeaders.flatMap((name, i) =>
            i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1] ?? ""] as const] : [],
          );
          recorder.requests.push({ method, url, headers, body });
          response.writeHead(200, recorder.headers);
          response.end(recorder.body);
        },
        () => undefined, // the request was broken off
      );
    });
    server.listen(0, "127.0.0.1");
    owner.after(() => {
      server.close();
      server.closeAllConnections();
    });
    await once(server, "listening");
    recorder.port = (server.address() as AddressInfo).port;
    return recorder;
  }
}
