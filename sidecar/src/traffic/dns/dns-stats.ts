import type { Counter, Histogram, MetricScope } from "@heddle/telemetry";

/** Handles of one DNS filter's metrics, under Envoy's names (`dns_filter.<stat_prefix>.…`, config/udp_listener_filters/dns_filter). */
export class DnsStats {
  readonly queries: Counter;
  readonly invalidQueries: Counter;
  readonly responses: Counter;
  readonly rxBytes: Histogram;
  readonly txBytes: Histogram;
  readonly latency: Histogram;
  readonly knownDomainQueries: Counter;
  readonly unsupportedQueries: Counter;
  readonly unanswered: Counter;
  readonly withAnswers: Counter;
  readonly withAdditional: Counter;
  readonly externallyResolved: Counter;
  readonly externalRetries: Counter;
  readonly asked: FamilyCounters;
  readonly local: FamilyCounters;
  readonly cluster: FamilyCounters;
  readonly externalQueries: FamilyCounters;
  readonly externalAnswers: FamilyCounters;
  readonly localUnsupported: Counter;

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope("dns_filter", { envoy_dns_filter_prefix: statPrefix });
    this.queries = scope.counter("downstream_rx_queries");
    this.invalidQueries = scope.counter("downstream_rx_invalid_queries");
    this.responses = scope.counter("downstream_tx_responses");
    this.rxBytes = scope.histogram("downstream_rx_bytes");
    this.txBytes = scope.histogram("downstream_tx_bytes");
    this.latency = scope.histogram("downstream_rx_query_latency");
    this.knownDomainQueries = scope.counter("known_domain_queries");
    this.unsupportedQueries = scope.counter("unsupported_queries");
    this.unanswered = scope.counter("unanswered_queries");
    this.withAnswers = scope.counter("queries_with_ans_or_authority_rrs");
    this.withAdditional = scope.counter("queries_with_additional_rrs");
    this.externallyResolved = scope.counter("externally_resolved_queries");
    this.externalRetries = scope.counter("external_query_retries");
    this.localUnsupported = scope.counter("local_unsupported_answers");
    this.asked = new FamilyCounters((family) => scope.counter(`${family}_record_queries`));
    this.local = new FamilyCounters((family) => scope.counter(`local_${family}_record_answers`));
    this.cluster = new FamilyCounters((family) => scope.counter(`cluster_${family}_record_answers`));
    this.externalQueries = new FamilyCounters((family) =>
      scope.counter(family === "unsupported" ? "external_unsupported_queries" : `external_${family}_record_queries`),
    );
    this.externalAnswers = new FamilyCounters((family) =>
      scope.counter(family === "unsupported" ? "external_unsupported_answers" : `external_${family}_record_answers`),
    );
  }
}

/** The same counter for A, AAAA and SRV, and one for what is none of them. */
class FamilyCounters {
  readonly #a: Counter;
  readonly #aaaa: Counter;
  readonly #srv: Counter;
  readonly #make: (family: "unsupported") => Counter;

  constructor(make: (family: "a" | "aaaa" | "srv" | "unsupported") => Counter) {
    this.#a = make("a");
    this.#aaaa = make("aaaa");
    this.#srv = make("srv");
    this.#make = make;
  }

  /** `type` is that of a question or record. */
  add(type: number, by = 1): void {
    if (type === 1) this.#a.add(by);
    else if (type === 28) this.#aaaa.add(by);
    else if (type === 33) this.#srv.add(by);
    else this.#make("unsupported").add(by);
  }
}
