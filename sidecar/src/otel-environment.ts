import { err, ok, type Result } from "@heddle/base";
import {
  defaultTelemetry,
  type OtlpDestination,
  type Propagator,
  type SamplingConfig,
  type TelemetryConfig,
  type TracingConfig,
} from "@heddle/traffic";
import { UNKNOWN_SERVICE } from "@heddle/xds";

/*
 * OpenTelemetry's environment variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/),
 * for the simple case: one receiver, and everything goes there. They add to what the bootstrap says: connection managers with
 * a `tracing` of their own keep it.
 */

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_INTERVAL_MS = 60_000;
const LEAST_INTERVAL_MS = 100;
const MAX_PATH_TAG_LENGTH = 256;

/** The bootstrap's telemetry with what the environment adds; `workload` is the service where it names none. On failure every reason, each naming its variable. */
export function withOtelEnvironment(
  telemetry: TelemetryConfig | undefined,
  environment: Environment,
  workload = "",
): Result<TelemetryConfig, readonly string[]> {
  const reader = new Reader(environment, workload);
  const added = reader.read(telemetry ?? defaultTelemetry);
  return reader.errors.length > 0 ? err(reader.errors) : ok(added);
}

class Reader {
  readonly errors: string[] = [];
  readonly #environment: Environment;
  readonly #workload: string;

  constructor(environment: Environment, workload: string) {
    this.#workload = workload;
    this.#environment = environment;
  }

  read(telemetry: TelemetryConfig): TelemetryConfig {
    if (this.#get("OTEL_SDK_DISABLED")?.toLowerCase() === "true") return telemetry;
    const attributes = this.#pairs("OTEL_RESOURCE_ATTRIBUTES");
    const { "service.name": named, ...others } = attributes;
    const serviceName = this.#get("OTEL_SERVICE_NAME") ?? named ?? (this.#workload || UNKNOWN_SERVICE);
    const traces = this.#exports("traces") ? this.#destination("traces") : undefined;
    const metrics = this.#exports("metrics") ? this.#destination("metrics") : undefined;
    if (traces === undefined && metrics === undefined) return telemetry;
    return {
      ...telemetry,
      resource: { ...telemetry.resource, ...others },
      ...(traces !== undefined && { tracingEverywhere: this.#tracing(traces, serviceName) }),
      ...(metrics !== undefined && {
        statsSinks: [
          ...telemetry.statsSinks,
          {
            destination: metrics,
            serviceName,
            prefix: "",
            emitTagsAsAttributes: true,
            useTagExtractedName: true,
            intervalMs: this.#number("OTEL_METRIC_EXPORT_INTERVAL", DEFAULT_INTERVAL_MS, LEAST_INTERVAL_MS),
          },
        ],
      }),
    };
  }

  /** An empty variable is one that is not set, as the specification has it. */
  #get(name: string): string | undefined {
    return this.#environment[name] || undefined;
  }

  #exports(signal: Signal): boolean {
    const name = `OTEL_${signal.toUpperCase()}_EXPORTER`;
    const exporter = this.#get(name);
    if (exporter !== undefined && exporter !== "otlp" && exporter !== "none") {
      this.errors.push(`${name}: found "${exporter}", allowed are otlp and none`);
    }
    // Unlike an SDK we send nothing anywhere unless somebody has said where.
    return exporter !== "none" && (this.#of("ENDPOINT", signal) !== undefined || exporter === "otlp");
  }

  #of(what: string, signal: Signal): string | undefined {
    return this.#get(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${what}`) ?? this.#get(`OTEL_EXPORTER_OTLP_${what}`);
  }

  #destination(signal: Signal): OtlpDestination | undefined {
    const protocol = this.#of("PROTOCOL", signal) ?? "http/protobuf";
    if (protocol !== "grpc" && protocol !== "http/protobuf") {
      this.errors.push(`OTEL_EXPORTER_OTLP_PROTOCOL: found "${protocol}", allowed are grpc and http/protobuf`);
      return undefined;
    }
    const endpoint =
      this.#of("ENDPOINT", signal) ?? (protocol === "grpc" ? "http://localhost:4317" : "http://localhost:4318");
    if (!URL.canParse(endpoint) || !/^https?:/.test(endpoint)) {
      this.errors.push(`OTEL_EXPORTER_OTLP_ENDPOINT: found "${endpoint}", allowed is an http or https URL`);
      return undefined;
    }
    const url = new URL(endpoint);
    if (url.protocol === "https:" && protocol === "grpc") {
      this.errors.push(
        `OTEL_EXPORTER_OTLP_ENDPOINT: found "${endpoint}", allowed with grpc is an http URL: TLS is not supported yet`,
      );
      return undefined;
    }
    // The address of one signal is taken as it is; of the common one each signal has a path below.
    const own = this.#get(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`) !== undefined;
    const uri = own ? endpoint : `${endpoint.replace(/\/$/, "")}/v1/${signal}`;
    const headers = Object.entries({
      ...this.#pairs("OTEL_EXPORTER_OTLP_HEADERS"),
      ...this.#pairs(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_HEADERS`),
    }).map(([name, value]) => [name.toLowerCase(), value] as const);
    const address = protocol === "grpc" ? `dns:///${url.hostname}:${url.port === "" ? 80 : url.port}` : url.host;
    return {
      protocol: protocol === "grpc" ? "grpc" : "http",
      target: { type: "address", address },
      uri: protocol === "grpc" ? "" : uri,
      headers,
      timeoutMs: this.#timeout(signal),
    };
  }

  #timeout(signal: Signal): number {
    const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_TIMEOUT`;
    return this.#number(this.#get(own) === undefined ? "OTEL_EXPORTER_OTLP_TIMEOUT" : own, DEFAULT_TIMEOUT_MS, 1);
  }

  #tracing(exporter: OtlpDestination, serviceName: string): TracingConfig {
    return {
      provider: { type: "opentelemetry", serviceName, exporter, propagators: this.#propagators() },
      sampling: this.#sampling(),
      maxPathTagLength: MAX_PATH_TAG_LENGTH,
      spawnUpstreamSpan: false,
      customTags: [],
    };
  }

  #propagators(): readonly Propagator[] {
    const names = (this.#get("OTEL_PROPAGATORS") ?? "tracecontext").split(",").map((name) => name.trim());
    return names.flatMap((name) => {
      const propagator = PROPAGATORS[name];
      // Baggage is a header like any other here: it passes.
      if (propagator === undefined && name !== "baggage" && name !== "none") {
        this.errors.push(`OTEL_PROPAGATORS: found "${name}", allowed are tracecontext, baggage, b3, b3multi and none`);
      }
      return propagator ?? [];
    });
  }

  /** A parent's decision counts before any of these, so that they all are what the specification calls parent-based. */
  #sampling(): SamplingConfig {
    const name = (this.#get("OTEL_TRACES_SAMPLER") ?? "parentbased_always_on").replace("parentbased_", "");
    const all = { numerator: 100, denominator: 100 };
    const random = (share: number): SamplingConfig => ({
      client: all,
      random: { numerator: Math.round(share * 1_000_000), denominator: 1_000_000 },
      overall: all,
    });
    if (name === "always_on") return random(1);
    if (name === "always_off") return random(0);
    if (name === "traceidratio") {
      const share = this.#number("OTEL_TRACES_SAMPLER_ARG", 1, 0);
      if (share <= 1) return random(share);
      this.errors.push(`OTEL_TRACES_SAMPLER_ARG: found "${share}", allowed are 0 to 1`);
    } else {
      this.errors.push(
        `OTEL_TRACES_SAMPLER: found "${name}", allowed are always_on, always_off and traceidratio, with parentbased_ before them or not`,
      );
    }
    return random(1);
  }

  #number(name: string, standard: number, least: number): number {
    const text = this.#get(name);
    if (text === undefined) return standard;
    const value = Number(text);
    if (Number.isFinite(value) && value >= least) return value;
    this.errors.push(`${name}: found "${text}", allowed is a number from ${least}`);
    return standard;
  }

  /** "a=1,b=2", values percent-encoded. What stands there may be secret, so an error does not show it. */
  #pairs(name: string): Record<string, string> {
    const pairs: Record<string, string> = {};
    for (const pair of (this.#get(name) ?? "").split(",")) {
      if (pair.trim() === "") continue;
      const equals = pair.indexOf("=");
      try {
        if (equals <= 0) throw new URIError();
        pairs[pair.slice(0, equals).trim()] = decodeURIComponent(pair.slice(equals + 1).trim());
      } catch {
        this.errors.push(
          `${name}: allowed are pairs such as key=value, with commas between them, values percent-encoded`,
        );
      }
    }
    return pairs;
  }
}

type Signal = "traces" | "metrics";

const PROPAGATORS: Readonly<Record<string, Propagator | undefined>> = {
  __proto__: null as never,
  tracecontext: "w3c",
  b3: "b3",
  b3multi: "b3multi",
};
