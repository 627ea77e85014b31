import type { Origin } from "./origin.ts";
import type { BackendRef, ParentService } from "./route-ends.ts";

/** Where connections to a service go: a Gateway API TCPRoute or TLSRoute whose parents are Services (GAMMA), decoded. */
export interface StreamRoute {
  readonly kind: "tcp-route" | "tls-route";
  readonly namespace: string;
  readonly name: string;
  /** As of an `HttpRoute`. */
  readonly createdAtMs: number | undefined;
  readonly parents: readonly ParentService[];
  /** Of a TLSRoute: names that clients ask for (SNI), in lower case, "*.example.com" among them. Empty: any TLS. */
  readonly serverNames: readonly string[];
  /** Of its one rule. */
  readonly backends: readonly BackendRef[];
  readonly origin: Origin;
}
