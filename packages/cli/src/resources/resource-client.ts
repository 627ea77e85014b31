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
/** Of a watch's events. */
const WATCH_TYPE = "application/x-ndjson";
const HOW_TO_NAME_IT = "name it with --server or HEDDLE_API";

/** A client of the resource API's REST face. */
export class ResourceClient {
  readonly #server: ApiServer;

  constructor(server: ApiServer) {
    this.#server = server;
  }

  apply(request: ApplyRequest): Answer<BatchResponse> {
    return this.#call("POST", `${PATH}:apply`, "outcomes", request);
  }

  delete(request: DeleteRequest): Answer<BatchResponse> {
    return this.#call("POST", `${PATH}:delete`, "outcomes", request);
  }

  get({ type, namespace, name, nodeCluster }: ResourceKey, showSecrets: boolean): Answer<StoredResource> {
    const path = [type, ...(namespace === "" ? [] : [namespace]), name].map(encodeURIComponent).join("/");
    return this.#call("GET", `${PATH}/${path}?${parameters({ nodeCluster, showSecrets })}`, "key");
  }

  /** All pages. */
  async list(selector: Selector, showSecrets: boolean): Answer<readonly StoredResource[]> {
    const resources: StoredResource[] = [];
    let pageToken = "";
    do {
      const query = parameters({ ...selector, showSecrets, pageToken });
      const page = await this.#call<ListResponse>("GET", `${PATH}?${query}`, "resources");
      if (!page.ok) return page;
      resources.push(...page.value.resources);
      pageToken = page.value.nextPageToken;
    } while (pageToken !== "");
    return ok(resources);
  }

  createJoinToken(request: JoinTokenRequest): Answer<JoinTokenAnswer> {
    return this.#call("POST", "/v1/ca/join-tokens", "token", request);
  }

  /** Of the certificate authority's root; the answer is for people. */
  rotateRoot(step: "begin" | "next"): Answer<unknown> {
    return this.#call<Readonly<Record<string, unknown>>>("POST", "/v1/ca/rotate", undefined, { step });
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
      if (response.statusCode !== 200) return this.#failureOf(response, await textOf(response));
      if (response.headers["content-type"]?.startsWith(WATCH_TYPE) !== true) {
        response.destroy();
        return this.#stranger(response);
      }
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

  /** `field`: one that the answer always has. Whoever answers without is somebody else. */
  async #call<T>(method: string, path: string, field: (keyof T & string) | undefined, body?: unknown): Answer<T> {
    try {
      const response = await this.#send(method, path, body, PATIENCE_MS);
      const text = await textOf(response);
      if (response.statusCode !== 200) return err(this.#failureOf(response, text));
      const answer = objectIn(text);
      if (answer === undefined || (field !== undefined && !Object.hasOwn(answer, field)))
        return err(this.#stranger(response));
      return ok(answer as T);
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

  #failureOf(response: IncomingMessage, text: string): CallFailure {
    const { error } = (objectIn(text.slice(0, MAX_ERROR_BYTES)) ?? {}) as { readonly error?: ApiError };
    return typeof error?.message === "string" ? { type: "refused", error } : this.#stranger(response);
  }

  /** It is none of ours that has answered. */
  #stranger({ statusCode }: IncomingMessage): CallFailure {
    const message = `what answers at ${this.#server.url.origin} (${statusCode}) is no resource API; ${HOW_TO_NAME_IT}`;
    return { type: "unreachable", message };
  }

  #unreachable(error: unknown): CallFailure {
    const { code, message } = error as NodeJS.ErrnoException;
    return {
      type: "unreachable",
      message: `no resource API answers at ${this.#server.url.origin} (${code ?? message}); ${HOW_TO_NAME_IT}`,
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

/** Undefined: it is no JSON, or no object. */
function objectIn(text: string): object | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}
