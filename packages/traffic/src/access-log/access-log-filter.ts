import { GrpcStatus } from "@heddle/base";
import { type AccessLogSource, grpcStatusOf, responseFlagOf } from "@heddle/telemetry";
import { compileHeaderMatcher } from "../match/header-matcher.ts";
import { compileValueMatcher } from "../match/value-matcher.ts";
import { fractionSource, type LiveRuntime, NO_RUNTIME, numberSource } from "../runtime/live-runtime.ts";
import type { AccessLogFilterConfig, ComparisonConfig } from "./access-log-config.ts";

/** Whether an exchange is meant. */
export type AccessLogFilter = (source: AccessLogSource) => boolean;

/**
 * Compiles `envoy.config.accesslog.v3.AccessLogFilter`, decoded. `random`: a whole number. What its runtime keys say is read
 * from `runtime` at each look.
 */
export function compileAccessLogFilter(
  config: AccessLogFilterConfig,
  random: () => number,
  runtime = NO_RUNTIME,
): AccessLogFilter {
  switch (config.type) {
    case "status-code": {
      const compare = comparison(config, runtime);
      return (source) => compare(source.responseCode);
    }
    case "duration": {
      const compare = comparison(config, runtime);
      return (source) => compare(Math.floor(source.elapsedMs));
    }
    case "not-health-check":
      return (source) => !source.healthCheck;
    case "traceable":
      return (source) => source.traceForced;
    case "runtime":
      return fraction(config, random, runtime);
    case "and": {
      const filters = config.filters.map((filter) => compileAccessLogFilter(filter, random, runtime));
      return (source) => filters.every((filter) => filter(source));
    }
    case "or": {
      const filters = config.filters.map((filter) => compileAccessLogFilter(filter, random, runtime));
      return (source) => filters.some((filter) => filter(source));
    }
    case "header": {
      const matcher = compileHeaderMatcher(config.header);
      return (source) => matcher.testAll(source.requestHeaderValues(matcher.name));
    }
    case "response-flag": {
      let wanted = 0;
      for (const name of config.flags) wanted |= responseFlagOf(name) ?? 0;
      return config.flags.length === 0
        ? (source) => source.responseFlags !== 0
        : (source) => (source.responseFlags & wanted) !== 0;
    }
    case "grpc-status": {
      const statuses = new Set(config.statuses);
      return (source) => statuses.has(grpcStatusOf(source) ?? GrpcStatus.Unknown) !== config.exclude;
    }
    case "metadata":
      return metadata(config);
    case "log-type": {
      const types = new Set(config.types);
      return (source) => types.has(source.logType) !== config.exclude;
    }
    default:
      throw new Error(`unknown access log filter ${JSON.stringify(config satisfies never)}`);
  }
}

type Of<Type extends AccessLogFilterConfig["type"]> = Extract<AccessLogFilterConfig, { readonly type: Type }>;

function comparison({ op, value, runtimeKey }: ComparisonConfig, runtime: LiveRuntime): (found: number) => boolean {
  const wanted = numberSource(value, runtimeKey, runtime);
  switch (op) {
    case "EQ":
      return (found) => found === wanted.value;
    case "GE":
      return (found) => found >= wanted.value;
    case "LE":
      return (found) => found <= wanted.value;
  }
}

/** As Envoy's UUID extension: the first 8 hexadecimal digits of the request's id, modulo the denominator. */
function fraction({ key, fraction, independent }: Of<"runtime">, random: () => number, runtime: LiveRuntime) {
  const share = fractionSource({ ...fraction, runtimeKey: key }, runtime);
  return (source: AccessLogSource): boolean => {
    const id = independent ? "" : source.requestId.slice(0, 8);
    const drawn = /^[0-9a-fA-F]{8}$/.test(id) ? Number.parseInt(id, 16) : random();
    return drawn % share.denominator < share.numerator;
  };
}

function metadata({ namespace, path, value, invert, matchIfNotFound }: Of<"metadata">): AccessLogFilter {
  const matcher = value && compileValueMatcher(value);
  return (source) => {
    const found = source.metadata("DYNAMIC", namespace, path);
    if (found === undefined || found === null) return matchIfNotFound;
    return (matcher?.(found) ?? false) !== invert;
  };
}
