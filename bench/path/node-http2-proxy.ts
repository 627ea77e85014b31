/**
 * `node-http2-proxy.ts LISTEN-PORT UPSTREAM-PORT`: a reverse proxy on node:http2 as one would write it: each stream is
 * piped to a stream of one session to the upstream and back, with trailers. What gRPC through our codec is held against.
 */
import http2 from "node:http2";

const [port, upstreamPort] = process.argv.slice(2).map(Number);
const upstream = http2.connect(`http://127.0.0.1:${upstreamPort}`);
const server = http2.createServer();

server.on("stream", (downstream, headers) => {
  const request = upstream.request(headers, { endStream: downstream.readableEnded });
  let trailers: http2.IncomingHttpHeaders = {};
  request.on("response", ({ ":status": status, ...rest }) => {
    if (!downstream.destroyed) downstream.respond({ ":status": status, ...rest }, { waitForTrailers: true });
  });
  request.on("trailers", (received) => (trailers = received));
  downstream.on("wantTrailers", () => downstream.sendTrailers(trailers));
  downstream.on("aborted", () => request.close(http2.constants.NGHTTP2_CANCEL));
  downstream.on("error", () => request.close(http2.constants.NGHTTP2_CANCEL));
  request.on("error", () => downstream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  downstream.pipe(request);
  request.pipe(downstream);
});

server.listen(port, "127.0.0.1");
