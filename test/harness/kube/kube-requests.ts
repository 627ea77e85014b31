import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { request } from "node:https";
import { eventually } from "../eventually.ts";
import type { Owner } from "../owner.ts";
import { Kinds } from "./kinds.ts";
import type { JsonObject, KubeObject } from "./kube-object.ts";

/** An API server, and who may do everything there: the one of the tests, or a real one. */
export interface KubeEndpoint {
  readonly url: string;
  /** PEM: who has signed its certificate. */
  readonly ca: string;
  /** A bearer token of an administrator. Left out: one has a certificate. */
  readonly adminToken?: string;
  readonly adminCertificate?: { readonly certificate: string; readonly key: string };
}

/** An answer, read. */
export interface KubeAnswer {
  readonly status: number;
  readonly body: JsonObject;
  readonly headers: IncomingMessage["headers"];
}

export interface KubeAsk {
  readonly body?: unknown;
  readonly token?: string;
  readonly contentType?: string;
  readonly headers?: Record<string, string>;
}

/** One request, as it stands on the wire: no client between the test and the server. Without a token it is an administrator's. */
export async function kubeRequest(
  server: KubeEndpoint,
  method: string,
  path: string,
  ask: KubeAsk = {},
): Promise<KubeAnswer> {
  const sent = open(server, method, path, ask);
  sent.end(ask.body === undefined ? undefined : typeof ask.body === "string" ? ask.body : JSON.stringify(ask.body));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) text += chunk;
  const isJson = response.headers["content-type"] === "application/json";
  return {
    status: response.statusCode ?? 0,
    body: isJson ? (JSON.parse(text) as JsonObject) : { text },
    headers: response.headers,
  };
}

/** A watch, read line by line. */
export interface KubeWatch {
  readonly events: readonly { readonly type: string; readonly object: JsonObject }[];
  /** Whether the server has ended it. */
  readonly isOver: boolean;
  /** Resolves once there are so many events. */
  atLeast(count: number): Promise<void>;
}

export async function kubeWatch(owner: Owner, server: KubeEndpoint, path: string): Promise<KubeWatch> {
  const sent = open(server, "GET", path, {});
  owner.after(() => sent.destroy());
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`the watch was answered with ${response.statusCode}`);
  const watch = { events: [] as KubeWatch["events"][number][], isOver: false };
  let rest = "";
  response.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) watch.events.push(JSON.parse(line) as KubeWatch["events"][number]);
  });
  response.on("close", () => {
    watch.isOver = true;
  });
  response.on("error", () => undefined); // a connection that the test has cut
  return Object.assign(watch, {
    atLeast: (count: number) => eventually(`${count} events`, () => watch.events.length >= count),
  });
}

const kinds = new Kinds();

/** The path of an object, or of the list that it stands in. A kind that is not built in is taken for one in namespaces with a plural as usual. */
export function kubePath({ apiVersion, kind: name, metadata }: KubeObject, ofList = false): string {
  const { namespaced, plural } = kinds.of(apiVersion, name) ?? { namespaced: true, plural: pluralOf(name) };
  const root = `/${apiVersion.includes("/") ? "apis" : "api"}/${apiVersion}`;
  const list = `${root}${namespaced ? `/namespaces/${metadata.namespace ?? "default"}` : ""}/${plural}`;
  return ofList ? list : `${list}/${metadata.name}`;
}

function pluralOf(kind: string): string {
  return `${kind.toLowerCase()}s`.replace(/ys$/, "ies");
}

/** Makes an object, or puts it in the place of what is there. Fails where that is refused. */
export async function kubePut(server: KubeEndpoint, object: KubeObject): Promise<KubeObject> {
  let answer = await kubeRequest(server, "POST", kubePath(object, true), { body: object });
  while (answer.status === 409) {
    const { metadata } = (await kubeRequest(server, "GET", kubePath(object))).body as KubeObject;
    const { resourceVersion } = metadata;
    answer = await kubeRequest(server, "PUT", kubePath(object), {
      body: { ...object, metadata: { ...object.metadata, resourceVersion } },
    });
  }
  if (answer.status >= 300) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body as KubeObject;
}

/** Makes an object, which goes with whoever makes it: at the end its deletion has been asked for. */
export async function kubePutFor(owner: Owner, server: KubeEndpoint, object: KubeObject): Promise<KubeObject> {
  const made = await kubePut(server, object);
  owner.after(() => kubeRequest(server, "DELETE", `${kubePath(object)}?gracePeriodSeconds=0`));
  return made;
}

/** A name that nothing else has: other people's things may be there too. */
export function uniqueName(what: string): string {
  return `heddle-test-${what}-${randomBytes(4).toString("hex")}`;
}

/** Makes a namespace of a name of its own, which goes with all that is in it. */
export async function ownNamespace(
  owner: Owner,
  server: KubeEndpoint,
  what: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = uniqueName(what);
  await kubePutFor(owner, server, { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
  return name;
}

function open(server: KubeEndpoint, method: string, path: string, ask: KubeAsk): ClientRequest {
  const token = ask.token ?? server.adminToken;
  const { certificate: cert, key } = (ask.token === undefined && server.adminCertificate) || {};
  return request(server.url + path, {
    method,
    ca: server.ca,
    ...(cert !== undefined && { cert, key }),
    agent: false,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(ask.body === undefined ? {} : { "content-type": ask.contentType ?? "application/json" }),
      ...ask.headers,
    },
  });
}
