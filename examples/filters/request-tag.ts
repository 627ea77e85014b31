import { err, type Json, ok } from "@heddle/base";
import { type ConfigIssue, defineFilter, type HttpFilter } from "@heddle/filter";

/** What a configuration may say: `{ "header": "x-tag", "value": "canary", "refusePrefix": "/internal" }` */
interface RequestTagConfig {
  /** Lower case. */
  readonly header: string;
  readonly value: string;
  /** Paths that begin with this are answered with 403. */
  readonly refusePrefix: string | undefined;
}

/**
 * Puts a header on every request, and refuses the paths that its configuration names.
 *
 * A listener uses it by module path:
 *
 *     http_filters:
 *       - name: request-tag
 *         typed_config:
 *           "@type": type.googleapis.com/heddle.filters.http.v1.Module
 *           module_path: ./request-tag.ts
 *           config: { header: x-tag, value: canary, refusePrefix: /internal }
 */
export default defineFilter<RequestTagConfig>({
  parse(config) {
    const issues: ConfigIssue[] = [];
    const fields = isObject(config) ? config : {};
    const read = (name: string): string | undefined => {
      const value = fields[name];
      if (value === undefined || typeof value === "string") return value;
      issues.push({ path: name, message: `found ${JSON.stringify(value)}, needed is a string` });
      return undefined;
    };
    const header = read("header") ?? "x-tag";
    const value = read("value");
    const refusePrefix = read("refusePrefix");
    if (!HEADER_NAME.test(header)) issues.push({ path: "header", message: `"${header}" is no name of a header` });
    if (value === undefined && fields["value"] === undefined) issues.push({ path: "value", message: "it is missing" });
    if (issues.length > 0) return err(issues);
    return ok({ header: header.toLowerCase(), value: value ?? "", refusePrefix });
  },

  create({ header, value, refusePrefix }, { metrics }) {
    const refused = metrics.counter("request_tag_refused");
    // It keeps nothing from one phase to the next, so all exchanges share one.
    const filter: HttpFilter = {
      requestHead(exchange) {
        const { request } = exchange;
        if (refusePrefix !== undefined && request.path.startsWith(refusePrefix)) {
          refused.add();
          exchange.reply({ status: 403, body: "This path is not served here.\n", details: "request_tag_refused" });
          return "continue";
        }
        request.headers.set(header, value);
        return "continue";
      },
    };
    return { create: () => filter };
  },
});

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
