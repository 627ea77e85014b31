import type { CustomTagConfig } from "@heddle/traffic";
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
          const found = source.kind === "request" ? metadataOf(exchange, source.namespace, source.path) : undefined;
          add(attributes, tag, found ?? source.defaultValue);
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

function metadataOf(exchange: HttpExchange, namespace: string, path: readonly string[]): string | undefined {
  let value: unknown = exchange.metadata.get(namespace)?.get(path[0] ?? "");
  for (const key of path.slice(1)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  if (value === undefined || value === null) return undefined;
  return typeof value === "string" ? value : JSON.stringify(value);
}
