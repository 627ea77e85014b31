import { isIPv6 } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { Address } from "@heddle/traffic";
import { addressText } from "../admin/address-form.ts";
import type { ServerState } from "../admin/server-pages.ts";
import { type AppProbes, readAppProbes } from "./app-probes.ts";
import { type PodAnswer, type PodPage, PodServer } from "./pod-server.ts";
import { type ProbePlace, runAppProbe } from "./run-app-probe.ts";

type SocketAddress = Address & { readonly type: "socket" };

export interface PodPortSettings {
  /** Where the kubelet asks whether the sidecar, and by it the application, is well. */
  readonly health: SocketAddress | undefined;
  /** Where Prometheus asks. */
  readonly metrics: SocketAddress | undefined;
  /** The application's probes, as `readAppProbes` takes them. */
  readonly probes: string | undefined;
  /** The pod's own address: where the application is asked. */
  readonly podIp: string;
  /** Rules of the kernel capture what is sent to the pod. */
  readonly isCaptured: boolean;
}

export interface PodSubjects {
  readonly state: () => ServerState;
  /** All metrics, for Prometheus. */
  readonly prometheus: () => PodAnswer | Promise<PodAnswer>;
  readonly log: Log;
}

/** The ports of a sidecar in a pod. */
export interface PodPorts {
  close(): Promise<void>;
}

/** Opens the ports that are configured, or tells which one cannot be. */
export async function openPodPorts(
  settings: PodPortSettings,
  subjects: PodSubjects,
): Promise<Result<PodPorts, string>> {
  const { log } = subjects;
  const probes = readAppProbes(settings.probes);
  if (!probes.ok) return err(`HEDDLE_APP_PROBES: ${probes.error.join("; ")}`);
  for (const [path, { port }] of probes.value)
    if (port !== 0 && port === settings.health?.port)
      return err(`HEDDLE_APP_PROBES: ${JSON.stringify(path)}: port: ${port} is the sidecar's own`); // it would ask itself
  const servers: PodServer[] = [];
  const close = async (): Promise<void> => void (await Promise.all(servers.map((server) => server.close())));
  for (const [name, address, pages] of [
    ["health", settings.health, healthPages(probes.value, placeOf(settings), subjects)],
    ["metrics", settings.metrics, metricsPages(subjects)],
  ] as const) {
    if (address === undefined) continue;
    const server = new PodServer(pages, log);
    const listening = await server.listen(address);
    if (!listening.ok) {
      await close();
      return err(`--${name}-address: cannot listen on ${addressText(address)}: ${listening.error}`);
    }
    servers.push(server);
    log.info(`${name} is up`, { address: addressText({ ...address, port: listening.value }) });
  }
  return ok({ close });
}

/**
 * `PASSTHROUGH_SOURCE` of packages/capture: what comes from there is not captured. From anywhere else a probe would meet our own inbound
 * listener, which refuses it where mutual TLS is asked for, and takes every connection where it is not.
 */
const UNCAPTURED_SOURCE = { ipv4: "127.0.0.6", ipv6: "::6" } as const;

function placeOf({ podIp, isCaptured }: PodPortSettings): ProbePlace {
  if (!isCaptured) return { host: podIp, from: undefined };
  return { host: podIp, from: isIPv6(podIp) ? UNCAPTURED_SOURCE.ipv6 : UNCAPTURED_SOURCE.ipv4 };
}

/**
 * Whoever reaches the pod may ask, and learns what the kubelet would. It cannot choose what the application is asked, nor keep the kubelet
 * from being answered: of each probe one runs at a time, and whoever asks meanwhile is told what comes of it.
 */
function healthPages(probes: AppProbes, place: ProbePlace, { state }: PodSubjects): ReadonlyMap<string, PodPage> {
  const pages = new Map<string, PodPage>([
    ["/healthz/ready", () => ({ status: state() === "LIVE" ? 200 : 503, body: `${state()}\n` })],
    // That it answers is the answer.
    ["/healthz/live", () => ({ status: 200, body: "alive\n" })],
  ]);
  for (const [path, probe] of probes) {
    let underWay: Promise<PodAnswer> | undefined;
    const run = async (userAgent: string): Promise<PodAnswer> => {
      const { status, reason } = await runAppProbe(probe, place, userAgent);
      return { status, body: `${reason}\n` };
    };
    pages.set(path, ({ headers }) => {
      underWay ??= run(userAgentOf(headers["user-agent"])).finally(() => (underWay = undefined));
      return underWay;
    });
  }
  return pages;
}

/** Applications may know the kubelet by it; anything else that a caller says is no part of the manifest. */
function userAgentOf(said: string | undefined): string {
  return said !== undefined && /^kube-probe\/[\w.+-]{1,64}$/.test(said) ? said : "heddle-probe";
}

function metricsPages({ prometheus }: PodSubjects): ReadonlyMap<string, PodPage> {
  return new Map([
    ["/metrics", prometheus],
    ["/stats/prometheus", prometheus],
  ]);
}
