import type { IncomingMessage } from "node:http";

/** What a path of the webhooks' port asks for. */
export type WebhookCall =
  | { readonly type: "inject"; readonly tag: string | undefined }
  | { readonly type: "validate" }
  | { readonly type: "healthz" }
  | { readonly type: "readyz" };

/** As Kubernetes has revisions' names: a label's value that is also part of a name. */
const TAG = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Undefined: there is no such path. A query is not looked at here: an API server puts `?timeout=10s` behind every path. */
export function webhookCall(url: string | undefined): WebhookCall | undefined {
  const [path = ""] = (url ?? "").split("?", 1);
  switch (path) {
    case "/inject":
      return { type: "inject", tag: undefined };
    case "/validate":
      return { type: "validate" };
    case "/healthz":
      return { type: "healthz" };
    case "/readyz":
      return { type: "readyz" };
  }
  const tag = /^\/inject\/rev\/([^/]*)$/.exec(path)?.[1];
  return tag !== undefined && TAG.test(tag) ? { type: "inject", tag } : undefined;
}

/** How long the API server waits for the answer, by what it says behind the path; undefined: it does not say. */
export function callTimeoutMs({ url = "" }: Pick<IncomingMessage, "url">): number | undefined {
  const query = url.includes("?") ? url.slice(url.indexOf("?") + 1, url.indexOf("?") + 200) : "";
  const seconds = /^(\d{1,3})s$/.exec(new URLSearchParams(query).get("timeout") ?? "")?.[1];
  return seconds === undefined || Number(seconds) === 0 ? undefined : Number(seconds) * 1000;
}
