import type { IncomingHttpHeaders } from "node:http";
import { Agent, type RequestOptions, request } from "node:https";
import type { TestContext } from "node:test";
import { type Clock, Live, systemClock } from "@heddle/base";
import { TestAuthority } from "@heddle/identity/testing";
import { TestCounters, TestLog } from "../ca/testing.ts";
import type { PodReviewOptions } from "./review-pod.ts";
import { namespacesOf, SCRIPTED_INJECTION } from "./testing.ts";
import type { WebhookLimits } from "./webhook-limits.ts";
import { WebhookServer, type WebhookServerOptions } from "./webhook-server.ts";

/* For tests: a webhook server on a port of its own, and an API server's side of the connection. */

export const AUTHORITY = new TestAuthority("Mesh");
export const SERVICE_NAME = "heddle-control-plane.heddle-system.svc";

export interface TestWebhooks {
  readonly server: WebhookServer;
  readonly port: number;
  readonly log: TestLog;
  readonly counters: TestCounters;
  readonly identity: Live<{ readonly certificateChain: string; readonly privateKey: string } | undefined>;
}

/** "shop" wants injection. */
export const PODS: PodReviewOptions = {
  injection: SCRIPTED_INJECTION,
  namespaces: namespacesOf({ shop: { "heddle.dev/inject": "enabled" } }),
  revision: "default",
  systemNamespace: "heddle-system",
};

export function newServingPair(authority = AUTHORITY) {
  const { chain, key } = authority.issue({ dns: [SERVICE_NAME], ips: ["127.0.0.1"], usage: "server" });
  return { certificateChain: chain, privateKey: key };
}

/** A server that ends with the test. */
export async function openTestWebhooks(
  t: TestContext,
  more: Partial<Omit<WebhookServerOptions, "limits">> & {
    readonly limits?: Partial<WebhookLimits>;
    readonly clock?: Clock;
  } = {},
): Promise<TestWebhooks> {
  const [log, counters] = [new TestLog(), new TestCounters()];
  const identity: TestWebhooks["identity"] = new Live<ReturnType<typeof newServingPair> | undefined>(newServingPair());
  const server = new WebhookServer({
    identity,
    clientCa: new Live<string | undefined>(undefined),
    clientNames: [],
    pods: PODS,
    notReady: () => undefined,
    clock: systemClock,
    log: log.log,
    metrics: counters.scope(),
    ...more,
  });
  t.after(() => server.close());
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 }, "--webhook-address");
  return { server, port, log, counters, identity };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Of any shape, to be looked at field by field; empty where the text is no JSON. */
  readonly json: AnswerJson;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: string;
}

export interface AnswerJson {
  readonly kind: string;
  readonly apiVersion: string;
  readonly code: number;
  readonly message: string;
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch: string;
    readonly patchType: string;
    readonly status: { readonly code: number; readonly message: string };
    readonly warnings?: readonly string[];
  };
}

export interface Question extends Omit<RequestOptions, "headers"> {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** Asks as an API server does: POST with JSON, by the Service's name. */
export function ask(port: number, path: string, question: Question = {}): Promise<Answer> {
  const { body = "", headers, ...rest } = question;
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port,
        path,
        method: "POST",
        servername: SERVICE_NAME,
        ca: AUTHORITY.certificate,
        agent: false,
        ...rest,
        headers: { "content-type": "application/json", ...headers },
      },
      (response) => {
        const chunks: Buffer[] = [];
        const socket = response.socket as unknown as { getPeerCertificate(): { fingerprint256: string } };
        const fingerprint = socket.getPeerCertificate().fingerprint256;
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = /^[{[]/.test(text);
          const json = (isJson ? JSON.parse(text) : {}) as AnswerJson;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json, fingerprint });
        });
      },
    );
    asked.on("error", reject);
    asked.end(body);
  });
}

/** A connection that is kept, and used again. */
export function keptConnection(t: TestContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return agent;
}
