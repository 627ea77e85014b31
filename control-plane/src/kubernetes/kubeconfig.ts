import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Clock, isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { parseYamlDocuments } from "@heddle/config";
import { isLoopback, StartError } from "../serve/address.ts";
import type { ClusterAccess, Credentials } from "./cluster-access.ts";

export interface KubeconfigOptions {
  readonly file: string;
  /** Undefined: its `current-context`. */
  readonly context: string | undefined;
  readonly clock: Clock;
}

/** Files that it names are read anew so often: tokens are replaced. */
const REREAD_MS = 10_000;
const DATA = /^[A-Za-z0-9+/=\s]*$/;

/**
 * By a file as kubectl reads it. Certificates, keys, tokens and passwords are read here; a user of a credential plugin
 * (`exec`, `auth-provider`) is left to Kubernetes' own client, which is loaded for that alone: it takes 83 MB and more
 * than a second. The API server is always verified. Rejects with a `StartError` that names the field.
 */
export async function kubeconfigAccess(options: KubeconfigOptions): Promise<ClusterAccess> {
  const { file, clock } = options;
  const config = await readConfig(file);
  const contextName = options.context ?? text(config, "current-context");
  if (contextName === undefined) throw fault(file, "current-context", "is missing; give --kubernetes-context");
  const context = named(file, config, "contexts", "context", contextName);
  const cluster = named(file, config, "clusters", "cluster", text(context, "cluster") ?? "");
  const userName = text(context, "user") ?? "";
  const user = userName === "" ? {} : named(file, config, "users", "user", userName);
  const server = serverOf(file, cluster);
  const folder = dirname(resolve(file));
  const plugin = "exec" in user || "auth-provider" in user ? await pluginOf(file, contextName) : undefined;
  const read = async (): Promise<Credentials> => {
    const pem = (from: JsonObject, name: string): Promise<string | undefined> => pemOf(file, folder, from, name);
    const [ca, certificate, key] = await Promise.all([
      pem(cluster, "certificate-authority"),
      pem(user, "client-certificate"),
      pem(user, "client-key"),
    ]);
    const own = { ca, certificate, key, serverName: text(cluster, "tls-server-name") };
    return { ...own, headers: { ...(await headersOf(folder, user)), ...impersonation(user) } };
  };
  let known: { readonly credentials: Credentials; readonly untilMs: number } | undefined;
  const credentials = async (): Promise<Credentials> => {
    if (known === undefined || clock.now() >= known.untilMs)
      known = { credentials: await read(), untilMs: clock.now() + REREAD_MS };
    return plugin === undefined ? known.credentials : { ...known.credentials, ...(await plugin()) };
  };
  try {
    await read();
  } catch (error) {
    if (error instanceof StartError) throw error;
    const { code, path } = error as NodeJS.ErrnoException;
    throw new StartError(`--kubeconfig: ${file}: ${path ?? "a file that it names"} cannot be read: ${code}`);
  }
  return {
    server,
    namespace: text(context, "namespace") ?? "default",
    credentials,
    forget: () => {
      known = undefined;
    },
  };
}

async function readConfig(file: string): Promise<JsonObject> {
  let yaml: string;
  try {
    yaml = await readFile(file, "utf8");
  } catch (error) {
    throw new StartError(`--kubeconfig: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  const documents = parseYamlDocuments(file, yaml);
  const json = documents.ok ? documents.value[0]?.json : undefined;
  // What is wrong with it is told by its place alone: the line may hold a token.
  if (!documents.ok) throw new StartError(`--kubeconfig: ${file}:${documents.error[0]?.line}: is no YAML`);
  if (!isJsonObject(json) || json["kind"] !== "Config")
    throw new StartError(`--kubeconfig: ${file}: is no kubeconfig (kind: Config)`);
  return json;
}

function named(file: string, config: JsonObject, list: string, field: string, name: string): JsonObject {
  const items = config[list];
  const found = Array.isArray(items)
    ? items.find((item: Json) => isJsonObject(item) && item["name"] === name)
    : undefined;
  const value = isJsonObject(found) ? found[field] : undefined;
  if (!isJsonObject(value)) throw fault(file, list, `has no ${field} "${name}"`);
  return value;
}

function serverOf(file: string, cluster: JsonObject): string {
  const server = text(cluster, "server") ?? "";
  const url = URL.parse(server);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw fault(file, "server", `found "${server}", allowed: https://HOST:PORT`);
  if (url.protocol === "http:" && !isLoopback(url.hostname.replace(/^\[|\]$/g, "")))
    throw fault(file, "server", "another machine is spoken to over TLS alone: https://HOST:PORT");
  // Whoever stood in between would say what the mesh is, and who may call whom.
  if (cluster["insecure-skip-tls-verify"] === true)
    throw fault(file, "insecure-skip-tls-verify", "the API server is always verified; give certificate-authority");
  if (cluster["proxy-url"] !== undefined) throw fault(file, "proxy-url", "is not supported");
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

async function pemOf(file: string, folder: string, from: JsonObject, name: string): Promise<string | undefined> {
  const data = text(from, `${name}-data`);
  if (data !== undefined && data !== "") {
    if (!DATA.test(data)) throw fault(file, `${name}-data`, "is no base64");
    return Buffer.from(data, "base64").toString();
  }
  const path = text(from, name);
  return path === undefined || path === "" ? undefined : readFile(resolve(folder, path), "utf8");
}

async function headersOf(folder: string, user: JsonObject): Promise<Readonly<Record<string, string>>> {
  const [token, tokenFile] = [text(user, "token"), text(user, "tokenFile")];
  if (tokenFile !== undefined && tokenFile !== "")
    return { authorization: `Bearer ${(await readFile(resolve(folder, tokenFile), "utf8")).trim()}` };
  if (token !== undefined && token !== "") return { authorization: `Bearer ${token}` };
  const username = text(user, "username");
  if (username === undefined || username === "") return {};
  const pair = Buffer.from(`${username}:${text(user, "password") ?? ""}`).toString("base64");
  return { authorization: `Basic ${pair}` };
}

function impersonation(user: JsonObject): Readonly<Record<string, string>> {
  const as = text(user, "as");
  return as === undefined || as === "" ? {} : { "impersonate-user": as };
}

type PluginCredentials = () => Promise<Partial<Credentials>>;

/** Kubernetes' own client runs the plugin, and keeps what it says until its end. */
async function pluginOf(file: string, context: string): Promise<PluginCredentials> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  config.loadFromFile(file);
  config.setCurrentContext(context);
  return async () => {
    const options: Parameters<typeof config.applyToHTTPSOptions>[0] = { headers: {} };
    await config.applyToHTTPSOptions(options);
    const { authorization, Authorization = authorization } = options.headers as Record<string, string | undefined>;
    const [certificate, key] = [options.cert, options.key].map(pemText);
    return {
      ...(certificate !== undefined && { certificate }),
      ...(key !== undefined && { key }),
      ...(Authorization !== undefined && { headers: { authorization: Authorization } }),
    };
  };
}

/** A plugin's is text or bytes. */
function pemText(pem: unknown): string | undefined {
  return typeof pem === "string" ? pem : pem instanceof Uint8Array ? Buffer.from(pem).toString() : undefined;
}

function text(object: JsonObject, name: string): string | undefined {
  const value = object[name];
  return typeof value === "string" ? value : undefined;
}

function fault(file: string, field: string, message: string): StartError {
  return new StartError(`--kubeconfig: ${file}: ${field}: ${message}`);
}
