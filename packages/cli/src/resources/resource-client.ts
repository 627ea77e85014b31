import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { err, ok, type Result } from "@heddle/base";
import type {
  ApiError,
  ApplyRequest,
  BatchResponse,
  DeleteRequest,
  JoinTokenAnswer,
  JoinTokenRequest,
  ListResponse,
  ResourceKey,
  Selector,
  StoredResource,
  WatchEvent,
} from "@heddle/control-plane/resource-api";

/** Where the API is, and who asks. */
export interface ApiServer {
  readonly url: URL;
  readonly token: string | undefined;
  /** PEM of those who may have signed its certificate; undefined: whom this machine trusts. */
  readonly ca: string | undefined;
}

/** Why there is no answer: what the API said, or that nobody was there. */
export type CallFailure =
  | { readonly type: "refused"; readonly error: ApiError }
  | { readonly type: "unreachable"; readonly message: string };

type Answer<T> = Promise<Result<T, CallFailure>>;

const PATH = "/v1/resources";
/** Of an answer, between two bytes. */
const PATIENCE_MS = 30_000;
/** A watch says something every 30 s. */
const WATCH_PATIENCE_MS = 90_000;
const MAX_ERROR_BYTES = 16 * 1024 * 1024;

/** A client of the resource API's REST face. */
export class ResourceClient {
  readonly #server: ApiServer;

  constructor(server: ApiServer) {
    this.#server = server;
  }

  apply(request: ApplyRequest): Answer<BatchResponse> {
    return this.#call("POST", `${PATH}:apply`, request);
  }

  delete(request: DeleteRequest): Answer<BatchResponse> {
    return this.#call("POST", `${PATH}:delete`, request);
  }

  get({ type, namespace, name, nodeCluster }: ResourceKey, showSecrets: boolean): Answer<StoredResource> {
    const path = [type, ...(namespace === "" ? [] : [namespace]), name].map(encodeURIComponent).join("/");
    return this.#call("GET", `${PATH}/${path}?${parameters({ nodeCluster, showSecrets })}`);
  }

  /** All pages. */
  async list(selector: Selector, showSecrets: boolean): Answer<readonly StoredResource[]> {
    const resources: StoredResource[] = [];
    let pageToken = "";
    do {
      const query = parameters({ ...selector, showSecrets, pageToken });
      const page = await this.#call<ListResponse>("GET", `${PATH}?${query}`);
      if (!page.ok) return page;
      resources.push(...page.value.resources);
      pageToken = page.value.nextPageToken;
    } while (pageToken !== "");
    return ok(resources);
  }

  createJoinToken(request: JoinTokenRequest): Answer<JoinTokenAnswer> {
    return this.#call("POST", "/v1/ca/join-tokens", request);
  }

  /** Of the certificate authority's root; the answer is for people. */
  rotateRoot(step: "begin" | "next"): Answer<unknown> {
    return this.#call("POST", "/v1/ca/rotate", { step });
  }

  /** Calls back for each event, until the connection ends. */
  async watch(
    selector: Selector,
    from: number | undefined,
    onEvent: (event: WatchEvent) => void,
  ): Promise<CallFailure> {
    const query = parameters({ ...selector, watch: true, from });
    try {
      const response = await this.#send("GET", `${PATH}?${query}`, undefined, WATCH_PATIENCE_MS);
      if (response.statusCode !== 200) return failureOf(response, await textOf(response));
      let rest = "";
      response.setEncoding("utf8");
      for await (const chunk of response) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) onEvent(JSON.parse(line) as WatchEvent);
      }
      return { type: "unreachable", message: "the control plane has ended the watch" };
    } catch (error) {
      return this.#unreachable(error);
    }
  }

  async #call<T>(method: string, path: string, body?: unknown): Answer<T> {
    try {
      const response = await this.#send(method, path, body, PATIENCE_MS);
      const text = await textOf(response);
      if (response.statusCode !== 200) return err(failureOf(response, text));
      return ok(JSON.parse(text) as T);
    } catch (error) {
      return err(this.#unreachable(error));
    }
  }

  #send(method: string, path: string, body: unknown, patienceMs: number): Promise<IncomingMessage> {
    const { url, token, ca } = this.#server;
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const send = url.protocol === "https:" ? tlsRequest : plainRequest;
      const call = send(
        {
          // Within brackets a URL has an IPv6 address, which a connection has not.
          host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
          ...(url.port !== "" && { port: url.port }),
          method,
          path,
          agent: false,
          timeout: patienceMs,
          headers: {
            ...(text !== undefined && {
              "content-type": "application/json",
              "content-length": Buffer.byteLength(text),
            }),
            ...(token !== undefined && { authorization: `Bearer ${token}` }),
          },
          ...(ca !== undefined && { ca }),
        },
        resolve,
      );
      call.on("timeout", () => call.destroy(new Error(`no answer in ${patienceMs / 1000} s`)));
      call.on("error", reject);
      call.end(text);
    });
  }

  #unreachable(error: unknown): CallFailure {
    const { code, message } = error as NodeJS.ErrnoException;
    return {
      type: "unreachable",
      message: `no resource API answers at ${this.#server.url.origin} (${code ?? message}); name it with --server or HEDDLE_API`,
    };
  }
}

/** `type=cluster&watch=true`; what is undefined, empty or false is left out. */
function parameters(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== undefined && value !== "" && value !== false) params.set(name, String(value));
  return params.toString();
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function failureOf({ statusCode }: IncomingMessage, text: string): CallFailure {
  try {
    const { error } = JSON.parse(text.slice(0, MAX_ERROR_BYTES)) as { readonly error?: ApiError };
    if (typeof error?.message === "string") return { type: "refused", error };
  } catch {
    // it is none of ours: told below
  }
  return { type: "unreachable", message: `something answers ${statusCode} that is no resource API` };
}
