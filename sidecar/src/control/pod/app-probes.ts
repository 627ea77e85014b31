import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";

/** What the sidecar does for the kubelet: one probe or hook of the application, as injection found it in the manifest. */
export type AppProbe = { readonly timeoutMs: number } & (
  | {
      readonly type: "http";
      readonly port: number;
      readonly path: string;
      readonly tls: boolean;
      /** As they were written; one name may stand there more than once. */
      readonly headers: readonly (readonly [name: string, value: string])[];
    }
  | { readonly type: "tcp"; readonly port: number }
  | { readonly type: "grpc"; readonly port: number; readonly service: string }
);

/** By the path at which the kubelet asks. */
export type AppProbes = ReadonlyMap<string, AppProbe>;

/** A pod has a few containers with three probes and two hooks each. */
const MAX_BYTES = 256 * 1024;
const MAX_PROBES = 500;
const MAX_TIMEOUT_SECONDS = 3600;
const PATH = /^\/app-health\/[a-z0-9-]{1,63}\/(?:livez|readyz|startupz|poststart|prestop)$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible characters of ASCII: what may stand in a request's target. */
const TARGET = /^\/[\x21-\x7e]{0,8191}$/;

/** Reads the application's probes from the environment's text (`HEDDLE_APP_PROBES`, packages/inject). On failure every reason. */
export function readAppProbes(text: string | undefined): Result<AppProbes, readonly string[]> {
  if (text === undefined || text === "") return ok(new Map());
  if (Buffer.byteLength(text) > MAX_BYTES)
    return err([`found ${text.length} characters, allowed are ${MAX_BYTES} bytes`]);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return err(["is no JSON"]);
  }
  if (!isJsonObject(json)) return err(["is no JSON object"]);
  const entries = Object.entries(json);
  if (entries.length > MAX_PROBES) return err([`found ${entries.length} probes, allowed are ${MAX_PROBES}`]);
  const faults: string[] = [];
  const probes = new Map<string, AppProbe>();
  for (const [path, value] of entries) {
    const probe = PATH.test(path) ? readProbe(value) : "the path is not /app-health/<container>/<probe>";
    if (typeof probe === "string") faults.push(`${JSON.stringify(path)}: ${probe}`);
    else probes.set(path, probe);
  }
  return faults.length > 0 ? err(faults) : ok(probes);
}

/** The probe, or what is wrong with it. */
function readProbe(json: Json): AppProbe | string {
  if (!isJsonObject(json)) return "is no object";
  const { httpGet, tcpSocket, grpc, timeoutSeconds = 1 } = json;
  if (typeof timeoutSeconds !== "number" || !(timeoutSeconds > 0) || timeoutSeconds > MAX_TIMEOUT_SECONDS)
    return `timeoutSeconds: allowed are 1 to ${MAX_TIMEOUT_SECONDS}`;
  const [action, another] = [httpGet, tcpSocket, grpc].filter(isJsonObject);
  if (action === undefined || another !== undefined) return "allowed is one of httpGet, tcpSocket and grpc";
  const { port } = action;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535)
    return "port: allowed are 1 to 65535";
  const timeoutMs = timeoutSeconds * 1000;
  if (action === tcpSocket) return { type: "tcp", port, timeoutMs };
  if (action === grpc) {
    const service = action["service"] ?? "";
    if (typeof service !== "string" || service.length > 1000) return "service: allowed is a name";
    return { type: "grpc", port, service, timeoutMs };
  }
  return readHttp(action, port, timeoutMs);
}

function readHttp(action: JsonObject, port: number, timeoutMs: number): AppProbe | string {
  const scheme = action["scheme"] ?? "HTTP";
  if (scheme !== "HTTP" && scheme !== "HTTPS") return "scheme: allowed are HTTP and HTTPS";
  let path = action["path"] ?? "/";
  if (typeof path !== "string") return "path: allowed is text";
  if (!path.startsWith("/")) path = `/${path}`; // as the kubelet does
  if (!TARGET.test(path)) return "path: allowed are visible characters of ASCII";
  const list = action["httpHeaders"] ?? [];
  if (!Array.isArray(list) || list.length > 100) return "httpHeaders: allowed are at most 100";
  const headers: (readonly [string, string])[] = [];
  for (const header of list as readonly Json[]) {
    const { name, value = "" } = isJsonObject(header) ? header : {};
    if (typeof name !== "string" || !TOKEN.test(name)) return "httpHeaders: a name is none";
    if (typeof value !== "string" || /[^\t\x20-\x7e\x80-\xff]/.test(value))
      return `httpHeaders: the value of ${name} is none`;
    headers.push([name, value]);
  }
  return { type: "http", port, path, tls: scheme === "HTTPS", headers, timeoutMs };
}
