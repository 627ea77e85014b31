import { ResponseFlag } from "@heddle/filter";
import type { Counter, Gauge } from "@heddle/telemetry";
import { compileMetadataMatcher } from "@heddle/traffic";
import { type CheckAttributes, chosenMetadata } from "@heddle/traffic/ext-authz";
import { checkedPeers, serverNameOf } from "../filter/ext-authz/checked-peers.ts";
import { GrpcAuthorizer } from "../filter/ext-authz/grpc-authorization.ts";
import type { Verdict } from "../filter/ext-authz/verdict.ts";
import { sendSideRequest } from "../upstream/side-request.ts";
import type { NetworkExtAuthzConfig } from "./ext-authz-gate-type.ts";
import type { GateDenial, GateVerdict, GateVisit, NetworkGate } from "./network-gate.ts";
import type { GateContext } from "./network-gate-type.ts";

const NAMESPACE = "envoy.filters.network.ext_authz";

export function createExtAuthzGate(config: NetworkExtAuthzConfig, context: GateContext): NetworkGate {
  return new ExtAuthzGate(config, context);
}

/** Asks about each connection when it comes, before a byte of it is read. It waits for the answer. */
class ExtAuthzGate implements NetworkGate {
  readonly #config: NetworkExtAuthzConfig;
  readonly #env: GateContext["env"];
  readonly #authorizer: GrpcAuthorizer;
  readonly #isEnabled: (visit: GateVisit) => boolean;
  readonly #stats: Stats;

  constructor(config: NetworkExtAuthzConfig, { env }: GateContext) {
    this.#config = config;
    this.#env = env;
    this.#authorizer = new GrpcAuthorizer(config.service);
    const matches = config.enabledMetadata && compileMetadataMatcher(config.enabledMetadata);
    this.#isEnabled = ({ info }) => matches === undefined || matches(info.metadata);
    const scope = env.metrics.scope("ext_authz", { envoy_ext_authz_prefix: config.statPrefix });
    this.#stats = {
      total: scope.counter("total"),
      ok: scope.counter("ok"),
      denied: scope.counter("denied"),
      error: scope.counter("error"),
      disabled: scope.counter("disabled"),
      failureModeAllowed: scope.counter("failure_mode_allowed"),
      closed: scope.counter("cx_closed"),
      shadowDenied: scope.counter("shadow_denied"),
      shadowError: scope.counter("shadow_error"),
      active: scope.gauge("active"),
    };
  }

  admit(visit: GateVisit): GateVerdict {
    const stats = this.#stats;
    if (!this.#isEnabled(visit)) {
      stats.disabled.add();
      return "allow";
    }
    stats.total.add();
    stats.active.add(1);
    const startMs = this.#env.clock.now();
    const { cluster } = this.#authorizer;
    const request = this.#authorizer.request(this.#attributes(visit));
    const call = sendSideRequest(
      this.#env.runtime.current.clusters.get(cluster),
      cluster,
      request,
      this.#env,
      (result) => {
        stats.active.add(-1);
        visit.decide(this.#decide(visit, this.#authorizer.verdict(result), this.#env.clock.now() - startMs));
      },
    );
    return {
      type: "wait",
      cancel() {
        stats.active.add(-1);
        call.cancel();
      },
    };
  }

  #attributes({ info }: GateVisit): CheckAttributes {
    const { includePeerCertificate, includeTlsSession, metadataContextNamespaces } = this.#config;
    const serverName = serverNameOf(info);
    const services = { sourceService: "", destinationService: serverName };
    return {
      ...checkedPeers(info, { ...services, certificates: includePeerCertificate }),
      contextExtensions: {},
      metadata: chosenMetadata(metadataContextNamespaces, info.metadata),
      ...(includeTlsSession && { sni: serverName }),
    };
  }

  #decide(visit: GateVisit, verdict: Verdict, elapsedMs: number): "allow" | GateDenial {
    const { shadowMode, failureModeAllow } = this.#config;
    const stats = this.#stats;
    this.#keepMetadata(visit, verdict, elapsedMs);
    if (verdict.type === "allowed") {
      stats.ok.add();
      return "allow";
    }
    const isDenied = verdict.type === "denied";
    if (shadowMode) {
      (isDenied ? stats.shadowDenied : stats.shadowError).add();
      visit.setMetadata(`${NAMESPACE}.shadow`, { check_result: isDenied ? "DENIED" : "ERROR" });
      return "allow";
    }
    (isDenied ? stats.denied : stats.error).add();
    if (!isDenied && failureModeAllow) {
      stats.failureModeAllowed.add();
      return "allow";
    }
    stats.closed.add();
    const details = isDenied ? "ext_authz_denied" : "ext_authz_error";
    return { type: "deny", details, responseFlags: ResponseFlag.UnauthorizedExternalService };
  }

  #keepMetadata(visit: GateVisit, { type, metadata }: Verdict, elapsedMs: number): void {
    if (metadata.length === 0) return;
    const duration = type === "allowed" ? { ext_authz_duration: Math.floor(elapsedMs) } : {};
    visit.setMetadata(NAMESPACE, { ...Object.fromEntries(metadata), ...duration });
  }
}

interface Stats {
  readonly total: Counter;
  readonly ok: Counter;
  readonly denied: Counter;
  readonly error: Counter;
  readonly disabled: Counter;
  readonly failureModeAllowed: Counter;
  readonly closed: Counter;
  readonly shadowDenied: Counter;
  readonly shadowError: Counter;
  readonly active: Gauge;
}
