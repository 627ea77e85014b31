import type { CustomTagConfig } from "@heddle/traffic";
import { valueAt } from "../exchange-log-source.ts";
import type { HttpExchange } from "../http-exchange.ts";

/** Adds what it finds for its tag to the attributes (name, value, name, value). */
export type CustomTag = (exchange: HttpExchange, attributes: string[]) => void;

/** `environment` is the process's. An environment tag is found out once, here. */
export function compileCustomTags(
  configs: readonly CustomTagConfig[],
  environment: Readonly<Record<string, string | undefined>>,
): readonly CustomTag[] {
  return configs.map(({ tag, source }) => {
    switch (source.type) {
      case "literal":
        return constant(tag, source.value);
      case "environment":
        return constant(tag, environment[source.name] ?? source.defaultValue);
      case "request-header":
        return (exchange, attributes) => {
          add(attributes, tag, exchange.request.headers.get(source.name) ?? source.defaultValue);
        };
      case "metadata":
        return (exchange, attributes) => {
          add(attributes, tag, metadataOf(exchange, source) ?? source.defaultValue);
        };
      default:
        throw new Error(`unknown source ${JSON.stringify(source satisfies never)}`);
    }
  });
}

function constant(tag: string, value: string): CustomTag {
  return (_exchange, attributes) => add(attributes, tag, value);
}

/** As Envoy: a tag without a value is left out. */
function add(attributes: string[], tag: string, value: string): void {
  if (value !== "") attributes.push(tag, value);
}

type MetadataSource = Extract<CustomTagConfig["source"], { readonly type: "metadata" }>;

function metadataOf(exchange: HttpExchange, { kind, namespace, path }: MetadataSource): string | undefined {
  const value = valueAt(
    kind === "request"
      ? exchange.metadata.get(namespace)?.get(path[0] ?? "")
      : configuredMetadata(exchange, kind)?.[namespace],
    kind === "request" ? path.slice(1) : path,
  );
  if (value === undefined || value === null) return undefined;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** As it is by the end of the exchange. */
function configuredMetadata(
  { selectedRoute, runtime, upstream }: HttpExchange,
  kind: Exclude<MetadataSource["kind"], "request">,
): { readonly [namespace: string]: unknown } | undefined {
  switch (kind) {
    case "route":
      return selectedRoute?.entry.metadata;
    case "cluster":
      return runtime.clusters.get(upstream.cluster)?.config.metadata;
    case "host":
      return upstream.endpoint?.config.metadata;
    default:
      throw new Error(`unknown metadata of ${JSON.stringify(kind satisfies never)}`);
  }
}
