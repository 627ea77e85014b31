import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { TestAuthority } from "@heddle/net/testing";
import type { Owner } from "../owner.ts";
import type { JsonObject } from "./kube-object.ts";

/** A webhook that answers as the test says. */
export interface AdmissionWebhook {
  /** `clientConfig` of a webhook that calls it. */
  readonly clientConfig: { readonly url: string; readonly caBundle: string };
  /** The requests that it got, oldest first. */
  readonly requests: readonly JsonObject[];
}

/** @param answer the response to a request, without its uid; undefined: none ever. */
export async function startAdmissionWebhook(
  owner: Owner,
  answer: (request: JsonObject) => JsonObject | undefined,
): Promise<AdmissionWebhook> {
  const authority = new TestAuthority("Webhooks");
  const { chain, key } = authority.issue({
    commonName: "webhook",
    ips: ["127.0.0.1"],
    dns: ["localhost"],
    usage: "server",
  });
  const requests: JsonObject[] = [];
  const server = createServer({ key, cert: chain }, (request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      const review = JSON.parse(text) as { readonly request: JsonObject };
      requests.push(review.request);
      const given = answer(review.request);
      if (given === undefined) return;
      const { uid } = review.request;
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: { uid, ...given } }),
      );
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  owner.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://localhost:${(server.address() as AddressInfo).port}/admit`;
  return { clientConfig: { url, caBundle: Buffer.from(authority.certificate).toString("base64") }, requests };
}

/** A response that allows, with a patch. */
export function patchWith(...operations: readonly JsonObject[]): JsonObject {
  return { allowed: true, patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(operations)).toString("base64") };
}
