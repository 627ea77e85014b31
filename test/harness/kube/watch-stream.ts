import type { ServerResponse } from "node:http";
import { apiVersionOf, type Kind, resourceKey } from "./kinds.ts";
import type { Json, KubeObject } from "./kube-object.ts";
import { selection, versionOf } from "./lists.ts";
import type { Change, ObjectStore } from "./object-store.ts";
import { isTrue } from "./request-info.ts";
import { inVersion } from "./resources.ts";
import { expired, invalid, StatusError } from "./status-error.ts";

/** As objects are shown to who watches: whole, or as rows of a table. */
export type Render = (object: KubeObject, isFirst: boolean) => Json;

/** One watch that somebody has open: events as lines of JSON until its time is over or it is closed. */
export class WatchStream {
  readonly #kind: Kind;
  readonly #response: ServerResponse;
  readonly #store: ObjectStore;
  readonly #bookmarks: boolean;
  readonly #ends: (() => void)[] = [];
  readonly #render: Render;
  #isFirst = true;
  #isHanging = false;

  /** Throws where the query cannot be served; from then on errors are events. */
  constructor(
    kind: Kind,
    namespace: string | undefined,
    name: string | undefined,
    query: URLSearchParams,
    store: ObjectStore,
    response: ServerResponse,
    render: Render,
    options: { readonly bookmarkMs: number; readonly fails410: boolean; readonly hangs: boolean },
  ) {
    this.#kind = kind;
    this.#response = response;
    this.#store = store;
    this.#render = render;
    this.#bookmarks = isTrue(query, "allowWatchBookmarks");
    const selects = selection(kind, query, name);
    const wanted = versionOf(query);
    const sendsInitial = isTrue(query, "sendInitialEvents");
    if (sendsInitial && query.get("resourceVersionMatch") !== "NotOlderThan")
      throw invalid("ListOptions", "meta.k8s.io", "", [
        {
          field: "resourceVersionMatch",
          message: "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        },
      ]);
    response.writeHead(200, { "content-type": "application/json", "cache-control": "no-cache, private" });
    response.flushHeaders();
    if (options.hangs) {
      this.#isHanging = true;
      return;
    }
    if (options.fails410) {
      this.fail(expired("too old resource version: compacted"));
      return;
    }
    const onChange = (change: Change): void => this.#tell(change, namespace, selects);
    try {
      if (sendsInitial || wanted === undefined || wanted === 0) {
        for (const object of store.list(resourceKey(kind), namespace).filter(selects)) this.#event("ADDED", object);
        if (sendsInitial && this.#bookmarks) this.bookmark({ "k8s.io/initial-events-end": "true" });
        this.#ends.push(store.watch(store.revision, onChange));
      } else this.#ends.push(store.watch(wanted, onChange));
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      this.fail(error);
      return;
    }
    const beat = setInterval(() => this.bookmark(), options.bookmarkMs);
    this.#ends.push(() => clearInterval(beat));
    const timeoutS = Number(query.get("timeoutSeconds") ?? 0);
    if (timeoutS > 0) {
      const timer = setTimeout(() => {
        this.bookmark();
        this.close();
      }, timeoutS * 1000);
      this.#ends.push(() => clearTimeout(timer));
    }
    response.once("close", () => this.#end());
  }

  /** Tells how far the watch is, where the client wants to know. */
  bookmark(annotations?: Readonly<Record<string, string>>): void {
    if (!this.#bookmarks || this.#isHanging) return;
    const metadata = {
      resourceVersion: String(this.#store.revision),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    };
    this.#line("BOOKMARK", { kind: this.#kind.kind, apiVersion: apiVersionOf(this.#kind), metadata });
  }

  /** An error as the last event. */
  fail(error: StatusError): void {
    this.#line("ERROR", error.toJSON());
    this.close();
  }

  /** Sends nothing any more and stays open, as behind a proxy that has lost the server. */
  hang(): void {
    this.#isHanging = true;
  }

  close(): void {
    this.#end();
    this.#response.end();
  }

  #tell(
    { resource, type, object, previous }: Change,
    namespace: string | undefined,
    selects: (o: KubeObject) => boolean,
  ): void {
    if (resource !== resourceKey(this.#kind)) return;
    if (namespace !== undefined && object.metadata.namespace !== namespace) return;
    // What begins to be selected is added for who watches, and what ceases to be is deleted, as it was.
    const was = previous !== undefined && selects(previous);
    const is = type !== "DELETED" && selects(object);
    if (is) this.#event(was ? "MODIFIED" : "ADDED", object);
    else if (was)
      this.#event("DELETED", {
        ...previous,
        metadata: { ...previous.metadata, resourceVersion: object.metadata.resourceVersion! },
      });
  }

  #event(type: string, object: KubeObject): void {
    this.#line(type, this.#render(inVersion(this.#kind, object), this.#isFirst));
    this.#isFirst = false;
  }

  #line(type: string, object: Json): void {
    if (!this.#isHanging && !this.#response.writableEnded)
      this.#response.write(`${JSON.stringify({ type, object })}\n`);
  }

  #end(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}
