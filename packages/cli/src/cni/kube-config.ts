import { readSmallFile } from "@heddle/base";

/** How to reach the API server, and as whom. */
export interface KubeAccess {
  /** "https://10.96.0.1:443" */
  readonly server: string;
  readonly ca: string | undefined;
  readonly serverName: string | undefined;
  readonly token: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
}

const MAX_BYTES = 256 * 1024;

/**
 * Reads the file that `heddle cni install` writes: a kubeconfig in JSON, which is YAML. What a person wrote in YAML is read too, at the price of
 * loading a parser. Throws with what is wrong and never with what the file holds.
 */
export async function readKubeConfig(path: string): Promise<KubeAccess> {
  const read = readSmallFile(path, MAX_BYTES);
  if (!read.ok) throw new Error(`kubeconfig ${path} ${read.error}`);
  const config = await parse(read.value.toString("utf8"), path);
  const context = entry(config["contexts"], config["current-context"])?.["context"] as Fields | undefined;
  const cluster = entry(config["clusters"], context?.["cluster"])?.["cluster"] as Fields | undefined;
  const user = entry(config["users"], context?.["user"])?.["user"] as Fields | undefined;
  const server = text(cluster?.["server"]);
  if (cluster === undefined || user === undefined || server === undefined)
    throw new Error(`kubeconfig ${path}: current-context names no context with a cluster and a user`);
  if (!server.startsWith("https://")) throw new Error(`kubeconfig ${path}: the server is to be reached by https`);
  if (cluster["insecure-skip-tls-verify"] === true)
    throw new Error(`kubeconfig ${path}: insecure-skip-tls-verify is refused, since a token would go to anybody`);
  return {
    server,
    serverName: text(cluster["tls-server-name"]),
    ca: material(cluster, "certificate-authority"),
    token: text(user["token"]) ?? fileText(text(user["tokenFile"]))?.trim(),
    clientCertificate: material(user, "client-certificate"),
    clientKey: material(user, "client-key"),
  };
}

type Fields = Readonly<Record<string, unknown>>;

async function parse(content: string, path: string): Promise<Fields> {
  let config: unknown;
  try {
    config = JSON.parse(content);
  } catch {
    const { parsePlainYaml } = await import("@heddle/config");
    const parsed = parsePlainYaml(path, content);
    config = parsed.ok ? parsed.value.documents[0]?.json : undefined; // its error may quote a line that has the token
  }
  if (typeof config !== "object" || config === null) throw new Error(`kubeconfig ${path} is neither JSON nor YAML`);
  return config as Fields;
}

function entry(list: unknown, name: unknown): Fields | undefined {
  return Array.isArray(list) ? (list as Fields[]).find((each) => each["name"] === name) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** `NAME-data` in Base64, or a file at `NAME`. */
function material(fields: Fields, name: string): string | undefined {
  const data = text(fields[`${name}-data`]);
  return data === undefined ? fileText(text(fields[name])) : Buffer.from(data, "base64").toString("utf8");
}

function fileText(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const read = readSmallFile(path, MAX_BYTES);
  if (!read.ok) throw new Error(`${path} ${read.error}`);
  return read.value.toString("utf8");
}
