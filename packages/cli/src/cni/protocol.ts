/** Versions of the CNI specification whose words are understood: results are passed on as they came. */
export const CNI_VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
const NEWEST = "1.1.0";

/** Codes of errors (CNI 1.1.0 §"Error"); from 100 on they are the plugin's. */
export const CniCode = {
  incompatibleVersion: 1,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailed: 6,
  invalidConfiguration: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  rulesFailed: 100,
  rulesDiffer: 101,
} as const;

/** What ends a call of the plugin with an error. */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = "") {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export type CniCommand = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";
const COMMANDS: readonly CniCommand[] = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];

/** The plugin's entry of a network configuration, and what the runtime adds. */
export interface CniConfig {
  readonly cniVersion: string;
  readonly name: string;
  readonly kubeconfig: string;
  readonly backend: string;
  readonly excludeNamespaces: readonly string[];
  /** Result of the plugin before; undefined: this one is the first. */
  readonly prevResult: Readonly<Record<string, unknown>> | undefined;
  /** Servers that the pod's resolv.conf will have; undefined: the runtime does not say (capability `dns`). */
  readonly dnsServers: readonly string[] | undefined;
}

/** What the runtime says in the environment. */
export interface CniCall {
  readonly command: CniCommand;
  readonly containerId: string;
  readonly netns: string;
  /** `K8S_POD_NAME` and the like. */
  readonly args: Readonly<Record<string, string>>;
}

/** Reads CNI_COMMAND and what it needs. Throws a `CniError`. */
export function readCall(env: Readonly<Record<string, string | undefined>>): CniCall {
  const command = COMMANDS.find((name) => name === env["CNI_COMMAND"]);
  if (command === undefined)
    throw new CniError(
      CniCode.invalidEnvironment,
      `CNI_COMMAND: found "${env["CNI_COMMAND"] ?? ""}", allowed: ${COMMANDS.join(", ")}`,
    );
  const needed = {
    ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
    GC: [],
    STATUS: [],
    VERSION: [],
  }[command];
  const missing = needed.filter((name) => (env[name] ?? "") === "");
  if (missing.length > 0)
    throw new CniError(CniCode.invalidEnvironment, `${command} needs ${missing.join(", ")} in the environment`);
  return {
    command,
    containerId: env["CNI_CONTAINERID"] ?? "",
    netns: env["CNI_NETNS"] ?? "",
    args: readArgs(env["CNI_ARGS"] ?? ""),
  };
}

/** Reads the configuration from stdin. Throws a `CniError`. */
export function readConfig(text: string): CniConfig {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new CniError(CniCode.decodingFailed, "the configuration on stdin is not JSON", (error as Error).message);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new CniError(CniCode.decodingFailed, "the configuration on stdin is not an object of JSON");
  const string = (name: string, standard?: string): string => {
    const value = json[name] ?? standard;
    if (typeof value !== "string" || value === "")
      throw new CniError(CniCode.invalidConfiguration, `${name}: found ${JSON.stringify(json[name])}, allowed: a text`);
    return value;
  };
  const cniVersion = string("cniVersion", "0.3.0");
  if (!CNI_VERSIONS.some((version) => version === cniVersion))
    throw new CniError(
      CniCode.incompatibleVersion,
      `cniVersion: found "${cniVersion}", allowed: ${CNI_VERSIONS.join(", ")}`,
    );
  const prevResult = json["prevResult"];
  if (prevResult !== undefined && (typeof prevResult !== "object" || prevResult === null))
    throw new CniError(CniCode.decodingFailed, "prevResult is not an object of JSON");
  return {
    cniVersion,
    name: string("name"),
    kubeconfig: string("kubeconfig"),
    backend: string("backend", "auto"),
    excludeNamespaces: texts(json["excludeNamespaces"], "excludeNamespaces") ?? [],
    prevResult: prevResult as CniConfig["prevResult"],
    dnsServers: texts(
      (json["runtimeConfig"] as { dns?: { servers?: unknown } } | undefined)?.dns?.servers,
      "runtimeConfig.dns.servers",
    ),
  };
}

/** The answer to VERSION, in the version of the request where that is one of ours (CNI 1.1.0, "VERSION"). */
export function versionAnswer(text: string): string {
  const asked = /"cniVersion"\s*:\s*"([^"]*)"/.exec(text)?.[1];
  const cniVersion = CNI_VERSIONS.find((version) => version === asked) ?? NEWEST;
  return JSON.stringify({ cniVersion, supportedVersions: CNI_VERSIONS });
}

export function errorAnswer(error: CniError, cniVersion: string): string {
  const details = error.details === "" ? {} : { details: error.details };
  return JSON.stringify({ cniVersion, code: error.code, msg: error.message, ...details });
}

/** "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web" */
function readArgs(text: string): Readonly<Record<string, string>> {
  const pairs = text.split(";").filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at === -1)
        throw new CniError(
          CniCode.invalidEnvironment,
          `CNI_ARGS: found "${pair}", allowed: NAME=VALUE, separated by semicolons`,
        );
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function texts(value: unknown, path: string): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new CniError(CniCode.invalidConfiguration, `${path}: found ${JSON.stringify(value)}, allowed: a list of texts`);
}
