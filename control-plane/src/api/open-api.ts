import type { Clock, Inspectable, Json } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { ResourceTypes } from "@heddle/xds";
import { formatHostPort, type HostPort, isLoopback, ListenError, StartError } from "../serve/address.ts";
import type { GrpcServices } from "../serve/serve-xds.ts";
import { followPair, readPair } from "../serve/tls-pair.ts";
import type { Sources } from "../source/sources.ts";
import type { StoredSource } from "../source/stored.ts";
import type { Store } from "../store/store.ts";
import type { Caller } from "./access.ts";
import type { CaAdministration } from "./ca-routes.ts";
import { GrpcResourceService } from "./grpc-service.ts";
import { ResourceService } from "./resource-service.ts";
import { RestServer } from "./rest-server.ts";
import { type Access, OPEN_ACCESS, TokenFile } from "./token-file.ts";

/** Where the resource API is, and who may use it. */
export interface ApiOptions {
  readonly address: HostPort;
  /** Somebody has asked for it. Where nobody has, and the port is taken, it is left out. */
  readonly isAsked: boolean;
  /** Undefined: open, on loopback only. */
  readonly tokensFile: string | undefined;
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
}

export interface ApiSubjects {
  readonly store: Store;
  readonly stored: StoredSource;
  readonly sources: Sources;
  readonly types: ResourceTypes;
  /** Undefined: there is none. */
  readonly ca?: CaAdministration | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** The resource API with both faces, of which only REST has a port of its own. */
export class ResourceApi implements Inspectable {
  readonly name = "resource-api";
  /** Undefined: another process has the port that nobody has asked for. */
  readonly address: HostPort | undefined;
  /** For the gRPC server that carries xDS. */
  readonly grpc: GrpcServices;
  readonly #service: ResourceService;
  readonly #access: Access;
  readonly #ends: readonly (() => unknown)[];

  private constructor(
    address: HostPort | undefined,
    service: ResourceService,
    access: Access,
    grpc: GrpcServices,
    ends: readonly (() => unknown)[],
  ) {
    this.address = address;
    this.#service = service;
    this.#access = access;
    this.grpc = grpc;
    this.#ends = ends;
  }

  /** Rejects with a `StartError`, with nothing left behind. */
  static async open({ address, isAsked, tokensFile, tls }: ApiOptions, subjects: ApiSubjects): Promise<ResourceApi> {
    const { clock, log } = subjects;
    if (!isLoopback(address.host) && (tokensFile === undefined || tls === undefined))
      throw new StartError(
        `resource API: ${address.host} is not loopback; there it takes --api-tokens, --api-tls-certificate and --api-tls-key`,
      );
    const pair = tls && (await readPair(tls));
    if (typeof pair === "string") throw new StartError(`resource API: ${pair}`);
    const access = await openAccess(tokensFile, clock, log);
    const service = new ResourceService(subjects);
    const rest = new RestServer({ service, access, ca: subjects.ca, clock, log, ...(pair && { tls: pair }) });
    const listening = await rest.listen(address);
    if (!listening.ok && !isAsked)
      log.warn("the resource API is on the xDS port alone, since its own is taken; --api-address names another", {
        address: formatHostPort(address),
      });
    else if (!listening.ok) {
      access.close();
      service.close();
      throw new ListenError("resource API", address, "--api-address", listening.error);
    }
    const renewal = tls && pair && followPair(tls, pair, (next) => rest.renew(next), "the API's", clock, log);
    const grpc = new GrpcResourceService({ service, access, clock, log });
    return new ResourceApi(listening.ok ? listening.value : undefined, service, access, grpc, [
      () => renewal?.close(),
      () => (listening.ok ? rest.close() : undefined),
      () => access.close(),
      () => service.close(),
    ]);
  }

  /** Whose token that is, as it stands in an `authorization` header; undefined: nobody's, or there are no tokens. */
  tokenHolderOf(authorization: string | undefined): Caller | undefined {
    return this.#access.isOpen ? undefined : this.#access.callerOf(authorization);
  }

  inspect(): Json {
    return this.#service.inspect();
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end();
  }
}

async function openAccess(file: string | undefined, clock: Clock, log: Log): Promise<Access> {
  if (file === undefined) return OPEN_ACCESS;
  const tokens = await TokenFile.open(file, clock, log);
  if (!tokens.ok) throw new StartError(`resource API: ${tokens.error.join("\n")}`);
  return tokens.value;
}
