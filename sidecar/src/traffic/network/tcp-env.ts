import type { Live } from "@heddle/base";
import type { DnsResponder } from "../dns/dns-responder.ts";
import type { ListenerEnv } from "../listener/listener-env.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";

/** What network filters that call clusters need from outside. */
export interface TcpEnv extends UpstreamEnv {
  readonly runtime: Live<{ readonly clusters: ReadonlyMap<string, Cluster> }>;
  /** What answers DNS, by the name of its UDP listener. */
  readonly dnsResponders: Map<string, DnsResponder>;
  readonly makeConnectionLogger: ListenerEnv["makeConnectionLogger"];
}
