import { compileSafeRegex, compileSubstitution } from "../match/safe-regex.ts";
import type { StringMatcherConfig } from "../match/string-matcher.ts";
import { compileHeaderFormat } from "./header-format.ts";
import type { HeaderMatcherConfig, HeaderMutations, RouteConfiguration, RouteEntry } from "./route-config.ts";

/**
 * Everything in a decoded route configuration that cannot be compiled, each with the path of its field: bad regular
 * expressions, substitutions and `%COMMAND%`s, domains that two hosts claim, weights that sum to nothing. Empty: it is
 * good, and `compileRouteConfiguration` does not throw.
 */
export function checkRouteConfiguration(config: RouteConfiguration): readonly string[] {
  const faults: string[] = [];
  checkMutations(config, "", faults);
  const owners = new Map<string, string>();
  for (const [h, host] of config.virtualHosts.entries()) {
    const at = `virtual_hosts[${h}]`;
    checkMutations(host, `${at}.`, faults);
    for (const [d, domain] of host.domains.entries()) {
      const owner = owners.get(domain.toLowerCase());
      if (owner === undefined) owners.set(domain.toLowerCase(), host.name);
      else faults.push(`${at}.domains[${d}]: "${domain}" belongs to virtual host "${owner}" already`);
    }
    for (const [r, route] of host.routes.entries()) checkRoute(route, `${at}.routes[${r}]`, faults);
    for (const [c, cluster] of (host.virtualClusters ?? []).entries()) {
      checkHeaders(cluster.headers, `${at}.virtual_clusters[${c}].headers`, faults);
    }
  }
  return faults;
}

function checkRoute(route: RouteEntry, at: string, faults: string[]): void {
  const { match, action } = route;
  checkMutations(route, `${at}.`, faults);
  if (match.path.type === "safe-regex") checkRegex(match.path.regex, `${at}.match.safe_regex`, faults);
  checkHeaders(match.headers, `${at}.match.headers`, faults);
  for (const [i, query] of match.queryParameters.entries()) {
    if (query.match.type === "string") checkString(query.match.matcher, `${at}.match.query_parameters[${i}]`, faults);
  }
  if (action.type === "redirect" && action.redirect.path.type === "regex") {
    const { regex, substitution } = action.redirect.path;
    checkRewrite(regex, substitution, `${at}.redirect.regex_rewrite`, faults);
  }
  if (action.type !== "forward") return;
  const { regexRewrite, cluster } = action.forward;
  if (regexRewrite !== undefined) {
    checkRewrite(regexRewrite.regex, regexRewrite.substitution, `${at}.route.regex_rewrite`, faults);
  }
  if (cluster.type !== "weighted") return;
  if (!cluster.clusters.some(({ weight }) => weight > 0)) {
    faults.push(`${at}.route.weighted_clusters: the weights sum to 0; give at least one above 0`);
  }
  for (const [i, weighted] of cluster.clusters.entries()) {
    checkMutations(weighted, `${at}.route.weighted_clusters.clusters[${i}].`, faults);
  }
}

function checkHeaders(headers: readonly HeaderMatcherConfig[], at: string, faults: string[]): void {
  for (const [i, header] of headers.entries()) {
    if (header.match.type === "string") checkString(header.match.matcher, `${at}[${i}]`, faults);
  }
}

function checkMutations(level: HeaderMutations, at: string, faults: string[]): void {
  for (const [field, options] of [
    ["request_headers_to_add", level.requestHeadersToAdd],
    ["response_headers_to_add", level.responseHeadersToAdd],
  ] as const) {
    for (const [i, option] of options.entries()) {
      const format = compileHeaderFormat(option.value);
      if (!format.ok) faults.push(`${at}${field}[${i}].header.value: ${format.error}`);
    }
  }
}

function checkString(matcher: StringMatcherConfig, at: string, faults: string[]): void {
  if (matcher.type === "safe-regex") checkRegex(matcher.regex, `${at}.string_match.safe_regex`, faults);
}

function checkRewrite(regex: string, substitution: string, at: string, faults: string[]): void {
  const pattern = compileSafeRegex(regex);
  if (!pattern.ok) {
    faults.push(`${at}.pattern: ${pattern.error}`);
    return;
  }
  const replacement = compileSubstitution(substitution, pattern.value.groupCount);
  if (!replacement.ok) faults.push(`${at}.substitution: ${replacement.error}`);
}

function checkRegex(regex: string, at: string, faults: string[]): void {
  const compiled = compileSafeRegex(regex);
  if (!compiled.ok) faults.push(`${at}: ${compiled.error}`);
}
