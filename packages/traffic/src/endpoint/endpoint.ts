import type { EndpointPick } from "../balance/picker.ts";
import type { Address } from "../listener/listener-config.ts";
import type { EndpointConfig } from "./endpoints-config.ts";
import { ReportedLoad } from "./reported-load.ts";

/**
 * One address of a cluster, as long as some endpoint set holds it: an update that names the address again keeps the
 * object, so that its counters, and the pool that hangs on it, outlive the update. What the configuration says of it is
 * in `config` and may change; what traffic knows of it is in the counters. Counters are those of this worker.
 */
export class Endpoint {
  /** "ip:port", "[ip]:port", or the path of a Unix socket. */
  readonly key: string;
  readonly address: Address;
  /** Itself, as every picker hands it out: a picker of 10,000 endpoints is made without making anything for each. */
  readonly pick: EndpointPick;
  /** A sidecar of ours stands there, which takes HTTP/2 whatever the application behind it speaks (metadata `heddle.h2`). */
  hasSidecar: boolean;
  #config: EndpointConfig;
  /** Exchanges that have been sent to it and have not ended. The upstream adds and takes away. */
  activeRequests = 0;
  activeConnections = 0;
  /** Since the endpoint is known: Envoy's `cx_total`, `cx_connect_fail`, `rq_total`, `rq_success`, `rq_error`, `rq_timeout`. */
  connections = 0;
  connectFailures = 0;
  requests = 0;
  requestsAnswered = 0;
  requestsFailed = 0;
  requestTimeouts = 0;
  /** Undefined: it has said nothing of its load, or nobody wants to know. */
  reportedLoad: ReportedLoad | undefined = undefined;

  constructor(config: EndpointConfig, key = addressKey(config.address)) {
    this.key = key;
    this.address = config.address;
    this.pick = { type: "endpoint", endpoint: this };
    this.#config = config;
    this.hasSidecar = saysHttp2(config);
  }

  /** What the configuration says of it now. */
  get config(): EndpointConfig {
    return this.#config;
  }

  set config(config: EndpointConfig) {
    this.#config = config;
    this.hasSidecar = saysHttp2(config);
  }

  /** A request to it has ended with that status, and so, from 500 on, has failed. */
  countAnswer(status: number): void {
    if (status < 500) this.requestsAnswered++;
    else this.requestsFailed++;
  }

  beginReports(): ReportedLoad {
    this.reportedLoad ??= new ReportedLoad();
    return this.reportedLoad;
  }

  get hostname(): string {
    return this.#config.hostname;
  }

  /** At least 1. */
  get weight(): number {
    return this.#config.loadBalancingWeight;
  }
}

function saysHttp2({ metadata }: EndpointConfig): boolean {
  return metadata["heddle"]?.["h2"] === true;
}

/** One string for one address. */
export function addressKey(address: Address): string {
  if (address.type === "pipe") return address.path;
  return address.address.includes(":") ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
