// What the three services of the shop share: an HTTP server on the port that the environment names, and calls to other
// services of the mesh. No library, so that one sees what the mesh asks of an application: nothing but a proxy address.
import { Agent, createServer, request } from "node:http";

const agent = new Agent({ keepAlive: true });

/** Serves until SIGTERM, then lets open requests finish. `routes` maps "GET /path/" prefixes to handlers. */
export function serve(name, routes) {
  const server = createServer(async (req, res) => {
    const found = Object.entries(routes).find(([prefix]) => `${req.method} ${req.url}`.startsWith(prefix));
    try {
      if (found === undefined) return reply(res, 404, { error: `${name} knows no ${req.method} ${req.url}` });
      const [prefix, handler] = found;
      const rest = `${req.method} ${req.url}`.slice(prefix.length);
      reply(res, 200, await handler(decodeURIComponent(rest.split("?")[0]), req));
    } catch (error) {
      reply(res, 502, { error: String(error.message) });
    }
  });
  server.listen(Number(process.env.PORT), "127.0.0.1", () =>
    console.log(`${name} listens on ${server.address().port}`),
  );
  process.once("SIGTERM", () => server.close(() => process.exit(0)));
}

/**
 * Calls another service by its name, through this workload's sidecar: a request in absolute form to the sidecar's
 * outbound port, as any client does that honours `http_proxy`. Trace headers of the incoming request go along, so that
 * the hops of one request can be put together.
 */
export function call(service, path, incoming) {
  const proxy = new URL(process.env.http_proxy);
  const headers = { host: service };
  for (const name of ["traceparent", "tracestate", "x-request-id"]) {
    if (incoming.headers[name] !== undefined) headers[name] = incoming.headers[name];
  }
  return new Promise((resolve, reject) => {
    const req = request({ host: proxy.hostname, port: proxy.port, path: `http://${service}${path}`, headers, agent });
    req.on("error", reject);
    req.on("response", (res) => {
      let body = "";
      res.setEncoding("utf8");
      res.on("data", (chunk) => (body += chunk));
      res.on("error", reject);
      res.on("end", () => {
        if (res.statusCode === 200) resolve(JSON.parse(body));
        else reject(new Error(`${service}${path} answered ${res.statusCode}: ${body}`));
      });
    });
    req.end();
  });
}

function reply(res, status, value) {
  const body = JSON.stringify(value);
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  res.end(body);
}
