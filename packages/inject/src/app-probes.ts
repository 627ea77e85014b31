import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { SIDECAR_PORTS } from "./names.ts";

/** Name of the sidecar's environment variable that holds `AppProbes` in JSON. */
export const APP_PROBES_VARIABLE = "HEDDLE_APP_PROBES";

/**
 * The application's probes by the path on the sidecar's health port at which the kubelet now asks for them, each as it stood in
 * the manifest with its port as a number: what the sidecar does when it is asked.
 */
export type AppProbes = Readonly<Record<string, AppProbe>>;

export interface AppProbe {
  readonly httpGet?: JsonObject;
  readonly tcpSocket?: JsonObject;
  readonly grpc?: JsonObject;
  readonly timeoutSeconds?: number;
}

/** How a probe or a hook is called in the path. */
const PROBES = { livenessProbe: "livez", readinessProbe: "readyz", startupProbe: "startupz" } as const;
const HOOKS = { postStart: "poststart", preStop: "prestop" } as const;
/** The kubelet's. */
const DEFAULT_TIMEOUT_SECONDS = 1;
/** The sidecar's most. */
const MAX_TIMEOUT_SECONDS = 3600;
/** The kubelet waits for a hook as long as the pod may take to end; nobody waits so long in vain. */
const HOOK_TIMEOUT_SECONDS = 60;

export interface Rewriting {
  readonly spec: JsonObject;
  readonly probes: AppProbes;
}

/**
 * Turns the application's probes and hooks that come over the network into questions to the sidecar's health port. The kubelet has no identity
 * of the mesh: under STRICT it would be refused, and a TCP probe would find the sidecar's own listener and always pass. Left as
 * they are: probes of another host, of the sidecar's own ports, and with a named port that no container has; and containers that
 * are not the application's.
 */
export function rewriteProbes(
  spec: JsonObject,
  ofApplication: (list: "containers" | "initContainers", name: string) => boolean = () => true,
): Rewriting {
  const probes: Record<string, AppProbe> = {};
  const rewriteAll = (list: "containers" | "initContainers"): Json | undefined => {
    const containers = spec[list];
    if (!Array.isArray(containers)) return containers;
    return containers.map((container: Json) =>
      isJsonObject(container) &&
      // Init containers that go on running may have probes; others may not.
      (list === "containers" || container["restartPolicy"] === "Always") &&
      ofApplication(list, container["name"] as string)
        ? rewriteContainer(container, probes)
        : container,
    );
  };
  const containers = rewriteAll("containers");
  const initContainers = rewriteAll("initContainers");
  return {
    spec: {
      ...spec,
      ...(containers !== undefined && { containers }),
      ...(initContainers !== undefined && { initContainers }),
    },
    probes,
  };
}

function rewriteContainer(container: JsonObject, probes: Record<string, AppProbe>): JsonObject {
  const rewritten: Record<string, Json> = { ...container };
  const pathOf = (what: string): string => `/app-health/${container["name"] as string}/${what}`;
  for (const [field, what] of Object.entries(PROBES)) {
    const probe = container[field];
    if (!isJsonObject(probe)) continue;
    const { timeoutSeconds } = probe;
    const said = typeof timeoutSeconds === "number" && timeoutSeconds > 0 ? timeoutSeconds : DEFAULT_TIMEOUT_SECONDS;
    const seconds = Math.min(said, MAX_TIMEOUT_SECONDS);
    const change = rewriteAction(probe, container, pathOf(what), seconds);
    if (change === undefined) continue;
    probes[pathOf(what)] = change.probe;
    rewritten[field] = change.action;
  }
  const lifecycle = container["lifecycle"];
  if (!isJsonObject(lifecycle)) return rewritten;
  for (const [field, what] of Object.entries(HOOKS)) {
    const hook = lifecycle[field];
    if (!isJsonObject(hook) || !isJsonObject(hook["httpGet"])) continue; // `tcpSocket` of a hook does nothing
    const change = rewriteAction(hook, container, pathOf(what), HOOK_TIMEOUT_SECONDS);
    if (change === undefined) continue;
    probes[pathOf(what)] = change.probe;
    rewritten["lifecycle"] = { ...(rewritten["lifecycle"] as JsonObject), [field]: change.action };
  }
  return rewritten;
}

interface ActionChange {
  /** What the kubelet is to do. */
  readonly action: JsonObject;
  readonly probe: AppProbe;
}

function rewriteAction(
  action: JsonObject,
  container: JsonObject,
  path: string,
  timeoutSeconds: number,
): ActionChange | undefined {
  const { httpGet, tcpSocket, grpc, ...rest } = action;
  const kind = isJsonObject(httpGet)
    ? "httpGet"
    : isJsonObject(tcpSocket)
      ? "tcpSocket"
      : isJsonObject(grpc)
        ? "grpc"
        : undefined;
  if (kind === undefined) return undefined;
  const original = action[kind] as JsonObject;
  const port = portNumber(original["port"], container);
  const { host } = original;
  if (port === undefined || (Object.values(SIDECAR_PORTS) as number[]).includes(port)) return undefined;
  if (host !== undefined && host !== null && host !== "") return undefined;
  const { path: said } = original;
  const encoded = typeof said === "string" && said.isWellFormed() ? { path: encodedPath(said) } : {};
  const probe: AppProbe = { [kind]: { ...original, port, ...encoded }, timeoutSeconds };
  if (kind !== "httpGet") return { action: { ...rest, httpGet: { path, port: SIDECAR_PORTS.health } }, probe };
  const scheme = original["scheme"] === undefined || original["scheme"] === null ? {} : { scheme: "HTTP" };
  // Its headers stay: the sidecar does not look at them, and the manifest stays as near to its author's as can be.
  return { action: { ...action, httpGet: { ...original, path, port: SIDECAR_PORTS.health, ...scheme } }, probe };
}

/** As the kubelet asks for it: what is no visible character of ASCII is encoded (RFC 3986 §2.1). */
function encodedPath(path: string): string {
  return path.replaceAll(/[^!-~]+/g, encodeURIComponent);
}

/** 8080, "8080", or the name of one of the container's ports. */
function portNumber(port: Json | undefined, container: JsonObject): number | undefined {
  if (typeof port === "number") return port > 0 && port <= 65_535 && Number.isInteger(port) ? port : undefined;
  if (typeof port !== "string") return undefined;
  if (/^[1-9]\d{0,4}$/.test(port)) return portNumber(Number(port), container);
  const ports = container["ports"];
  const named = Array.isArray(ports) ? ports.filter(isJsonObject).find(({ name }) => name === port) : undefined;
  return named === undefined ? undefined : portNumber(named["containerPort"], {});
}

/** A value of an environment variable that the kubelet leaves as it is: it replaces `$(NAME)`, and `$$` by `$`. */
export function unexpanded(text: string): string {
  return text.replaceAll("$", "$$$$");
}

/** What a container is told of such a value. */
export function expanded(value: string): string {
  return value.replaceAll("$$", "$");
}
