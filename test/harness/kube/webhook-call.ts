import { request } from "node:https";
import { isIP } from "node:net";
import { isObject, type Json, type JsonObject } from "./kube-object.ts";

/** Where a webhook is called, and how its server is told. */
export interface WebhookEndpoint {
  readonly host: string;
  readonly port: number;
  /** The name that its certificate has to have. */
  readonly serverName: string;
  readonly path: string;
  /** PEM: the authorities that may have signed it; "" are those of the system. */
  readonly caBundle: string;
}

const MAX_ANSWER_BYTES = 3 << 20;

/** Sends an AdmissionReview over TLS and gives the response in the answer. Fails as the API server would: with what was wrong. */
export async function callWebhook(at: WebhookEndpoint, timeoutMs: number, admission: JsonObject): Promise<JsonObject> {
  const url = `https://${at.serverName}:${at.port}${at.path}`;
  const body = JSON.stringify({ kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1", request: admission });
  const { status, text } = await post(
    at,
    `${at.path}${at.path.includes("?") ? "&" : "?"}timeout=${timeoutMs / 1000}s`,
    body,
    timeoutMs,
  ).catch((error: Error) => {
    throw new Error(`failed to call webhook: Post ${JSON.stringify(url)}: ${error.message}`);
  });
  if (status !== 200) throw new Error(`failed to call webhook: the server answered ${status}: ${text.slice(0, 200)}`);
  const review = JSON.parse(text) as Json;
  if (!isObject(review) || review["kind"] !== "AdmissionReview" || review["apiVersion"] !== "admission.k8s.io/v1")
    throw new Error("expected an AdmissionReview of admission.k8s.io/v1");
  const response = review["response"];
  if (!isObject(response)) throw new Error("webhook response was absent");
  if (response["uid"] !== admission["uid"])
    throw new Error(
      `expected response.uid=${JSON.stringify(admission["uid"])}, got ${JSON.stringify(response["uid"])}`,
    );
  const hasPatch = typeof response["patch"] === "string" && response["patch"] !== "";
  if (hasPatch && response["patchType"] !== "JSONPatch")
    throw new Error("webhook returned response.patch but not response.patchType of JSONPatch");
  if (!hasPatch && response["patchType"] !== undefined && response["patchType"] !== null)
    throw new Error("webhook returned response.patchType but not response.patch");
  return response;
}

function post(
  at: WebhookEndpoint,
  path: string,
  body: string,
  timeoutMs: number,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host: at.host,
      port: at.port,
      ...(isIP(at.serverName) === 0 ? { servername: at.serverName } : {}),
      path,
      method: "POST",
      ...(at.caBundle === "" ? {} : { ca: at.caBundle }),
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        host: `${at.serverName}:${at.port}`,
        "content-type": "application/json",
        accept: "application/json, */*",
        "content-length": Buffer.byteLength(body),
        "user-agent": "kube-apiserver-admission",
      },
    });
    sent.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES) sent.destroy(new Error("the answer is too large"));
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    sent.on("error", (error) =>
      reject(
        error.name === "AbortError" || error.name === "TimeoutError" ? new Error("context deadline exceeded") : error,
      ),
    );
    sent.end(body);
  });
}
