import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { request } from "node:https";
import { eventually } from "../eventually.ts";
import type { KubeApiServer } from "../kube-api-server.ts";
import type { Owner } from "../owner.ts";
import type { JsonObject } from "./kube-object.ts";

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
  server: KubeApiServer,
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

export async function kubeWatch(owner: Owner, server: KubeApiServer, path: string): Promise<KubeWatch> {
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

const ADMIN_TOKEN = "administrator";

function open(server: KubeApiServer, method: string, path: string, ask: KubeAsk): ClientRequest {
  server.addToken(ADMIN_TOKEN, { name: "admin", groups: ["system:masters"] });
  return request(server.url + path, {
    method,
    ca: server.authority.certificate,
    agent: false,
    headers: {
      authorization: `Bearer ${ask.token ?? ADMIN_TOKEN}`,
      ...(ask.body === undefined ? {} : { "content-type": ask.contentType ?? "application/json" }),
      ...ask.headers,
    },
  });
}
