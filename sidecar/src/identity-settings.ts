import { isIP } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { CallerTokens } from "./control/identity/caller-token.ts";

/** What the command line says of this sidecar's identity; undefined where it does not. */
export interface IdentityFlags {
  readonly caBundle: string | undefined;
  readonly caAddress: string | undefined;
  readonly joinTokenFile: string | undefined;
  readonly serviceAccountToken: string | undefined;
  readonly identityDir: string | undefined;
  readonly spiffeEndpointSocket: string | undefined;
  readonly workloadApi: string | undefined;
  readonly svidRenewAtPercent: number | undefined;
}

/** Where this sidecar takes its identity from, and to whom else it gives it. */
export interface IdentitySettings {
  readonly source:
    | {
        /** The mesh's own authority. */
        readonly type: "authority";
        /** A file of PEM. */
        readonly caBundle: string;
        /** "host:port"; undefined: the control plane that the flags name. */
        readonly address: string | undefined;
        readonly tokens: CallerTokens;
        /** A folder. */
        readonly keptIn: string | undefined;
        /** After how much of its life a certificate is renewed. */
        readonly renewAtPercent: number | undefined;
      }
    /** A SPIFFE agent; gRPC's name of its socket. */
    | { readonly type: "workload-api"; readonly target: string };
  /** Where the Workload API is served, a path. */
  readonly serveAt: string | undefined;
}

/**
 * Joins flags and environment (`HEDDLE_CA_BUNDLE`, `HEDDLE_JOIN_TOKEN`, `SPIFFE_ENDPOINT_SOCKET`); a flag counts more. Undefined:
 * this sidecar has no identity. On failure every reason.
 */
export function identitySettings(
  flags: IdentityFlags,
  environment: Readonly<Record<string, string | undefined>>,
  hasBootstrap: boolean,
): Result<IdentitySettings | undefined, readonly string[]> {
  const ofAuthority = [
    ["--ca-bundle", flags.caBundle],
    ["--ca-address", flags.caAddress],
    ["--join-token-file", flags.joinTokenFile],
    ["--service-account-token", flags.serviceAccountToken],
    ["--identity-dir", flags.identityDir],
    ["--svid-renew-at-percent", flags.svidRenewAtPercent],
  ] as const;
  const given = ofAuthority.flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (flags.spiffeEndpointSocket !== undefined && given.length > 0)
    return err(
      given.map((name) => `${name} and --spiffe-endpoint-socket exclude each other: one of them says who we are`),
    );

  const caBundle = flags.caBundle ?? nonEmpty(environment["HEDDLE_CA_BUNDLE"]);
  const socket =
    flags.spiffeEndpointSocket ??
    (given.length === 0 && caBundle === undefined ? nonEmpty(environment["SPIFFE_ENDPOINT_SOCKET"]) : undefined);
  const serveAt = flags.workloadApi;
  if (socket !== undefined) {
    const target = workloadApiTarget(socket);
    return target.ok ? ok({ source: { type: "workload-api", target: target.value }, serveAt }) : err([target.error]);
  }
  if (caBundle === undefined) {
    const without = [...given, ...(serveAt === undefined ? [] : ["--workload-api"])];
    return without.length === 0
      ? ok(undefined)
      : err(without.map((name) => `${name} needs --ca-bundle (HEDDLE_CA_BUNDLE): by whom the control plane is known`));
  }
  const faults: string[] = [];
  const tokens: CallerTokens = {
    serviceAccountTokenFile: flags.serviceAccountToken,
    joinTokenFile: flags.joinTokenFile,
    joinToken: nonEmpty(environment["HEDDLE_JOIN_TOKEN"]),
  };
  if (flags.serviceAccountToken !== undefined && flags.joinTokenFile !== undefined)
    faults.push("--service-account-token and --join-token-file exclude each other");
  if (Object.values(tokens).every((token) => token === undefined) && flags.identityDir === undefined)
    faults.push(
      "--ca-bundle needs something to prove who we are: --service-account-token, --join-token-file or HEDDLE_JOIN_TOKEN",
    );
  if (hasBootstrap && flags.caAddress === undefined)
    faults.push("with a bootstrap --ca-bundle needs --ca-address: where the authority is asked");
  if (faults.length > 0) return err(faults);
  const { caAddress: address, identityDir: keptIn, svidRenewAtPercent: renewAtPercent } = flags;
  return ok({ source: { type: "authority", caBundle, address, tokens, keptIn, renewAtPercent }, serveAt });
}

/**
 * gRPC's name of a Workload API endpoint (SPIFFE Workload Endpoint §4): "unix:///run/spire/agent.sock", "tcp://127.0.0.1:8000";
 * and a path, as a convenience.
 */
export function workloadApiTarget(text: string): Result<string, string> {
  const refused = (why: string): Result<never, string> => err(`the SPIFFE endpoint socket ${why}`);
  if (text.startsWith("/")) return ok(`unix:${text}`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return refused("is neither a path nor unix:///PATH or tcp://IP:PORT");
  }
  const { protocol, username, password, hostname, port, pathname, search, hash } = url;
  if (username + password + search + hash !== "") return refused("has more than a scheme, an address and a path");
  if (protocol === "unix:") {
    if (hostname !== "") return refused("names a host, and unix: has none: write unix:///PATH");
    return pathname.startsWith("/") && pathname.length > 1
      ? ok(`unix:${decodeURI(pathname)}`)
      : refused("names no absolute path");
  }
  if (protocol !== "tcp:") return refused(`has the scheme ${protocol.slice(0, -1)}; allowed are unix and tcp`);
  const ip = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(ip) === 0) return refused("has a host that is no IP address");
  if (port === "") return refused("has no port");
  if (pathname !== "") return refused("has a path beside a TCP address");
  return ok(isIP(ip) === 6 ? `ipv6:[${ip}]:${port}` : `ipv4:${ip}:${port}`);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
