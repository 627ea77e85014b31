import type { Clock } from "@heddle/base";
import type { Log, MetricScope, SeriesValue } from "@heddle/telemetry";
import { makeResourceTypes } from "@heddle/xds";
import { ClientStatusServer, LoadReportServer, ReportServer, RestDiscovery, XdsServer } from "@heddle/xds/server";
import { NodeStatuses } from "./admin/node-statuses.ts";
import { adminPages } from "./admin/pages.ts";
import { serveAdmin } from "./admin/serve-admin.ts";
import { type ApiOptions, ResourceApi } from "./api/open-api.ts";
import type { HostPort } from "./serve/address.ts";
import { serveRest } from "./serve/serve-rest.ts";
import { serveXds } from "./serve/serve-xds.ts";
import { Snapshots } from "./snapshot/snapshots.ts";
import { DiagnosticLog } from "./source/diagnostic-log.ts";
import { FileSource } from "./source/files.ts";
import { parseResource } from "./source/parse-resource.ts";
import { Sources } from "./source/sources.ts";
import { StoredSource } from "./source/stored.ts";
import type { Store } from "./store/store.ts";

export interface ControlPlaneOptions {
  /** Folders of configuration files. */
  readonly folders: readonly string[];
  /** What people put there is served too. Started; whoever opened it closes it after the control plane has stopped. */
  readonly store?: Store;
  /** How they put it there. Left out, or without a store: they cannot. */
  readonly api?: ApiOptions;
  readonly xdsAddress: HostPort;
  /** Left out: nobody is served over REST. */
  readonly xdsRestAddress?: HostPort | undefined;
  readonly adminAddress: HostPort;
  /** Which replica this is; clients are told. */
  readonly identifier: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** What has been counted so far, for the admin. */
  readonly collectMetrics: () => readonly SeriesValue[];
}

/** A control plane that is running. */
export interface ControlPlane {
  readonly xdsAddress: HostPort;
  readonly xdsRestAddress: HostPort | undefined;
  readonly adminAddress: HostPort;
  /** Of the resource API's REST face; undefined where there is none. */
  readonly apiAddress: HostPort | undefined;
  stop(): Promise<void>;
}

/** Joins the control plane: source > mesh > snapshot > serve. Rejects, with nothing left behind, if it cannot start so. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folders, store, xdsAddress, xdsRestAddress, adminAddress, identifier, clock, log, metrics, collectMetrics } =
    options;

  const files = folders.map((folder) => new FileSource({ folder, clock, parse: parseResource }));
  const stored = store && new StoredSource(store);
  const sources = new Sources(stored === undefined ? files : [...files, stored]);
  // What raw resources ask of filters is for the proxies to judge, which may not be ours.
  const types = makeResourceTypes({ httpFilters: "unchecked" });
  const snapshots = new Snapshots(types);
  const xds = new XdsServer({ source: snapshots, log, metrics, clock, identifier });
  const reports = new ReportServer({ clock, log });
  const loads = new LoadReportServer({ clock, log });
  const statuses = new ClientStatusServer(() => xds.clients());
  const nodes = new NodeStatuses(xds, reports);

  /** Of what has been opened so far; run last first. */
  const ends: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const api =
      store && stored && options.api
        ? await ResourceApi.open(options.api, { store, stored, sources, types, clock, log })
        : undefined;
    ends.push(async () => api?.close());
    const services = [xds, reports, loads, statuses];
    const served = await serveXds(api === undefined ? services : [...services, api.grpc], xdsAddress);
    ends.push(() => served.close());
    const rest =
      xdsRestAddress === undefined
        ? undefined
        : await serveRest(new RestDiscovery({ source: snapshots, log, metrics, identifier }), xdsRestAddress);
    ends.push(async () => rest?.close());
    const pages = adminPages({ identifier, sources, snapshots, nodes, loads, stored: api, collectMetrics });
    const admin = await serveAdmin(pages, adminAddress, log);
    ends.push(() => admin.close());

    const diagnosticLog = new DiagnosticLog(log);
    ends.push(() => sources.close());
    sources.start(() => {
      if (sources.world !== undefined) snapshots.publish(sources.world);
      diagnosticLog.show(sources.diagnostics); // after: what is wrong between objects takes looking at all of them
    });
    return {
      xdsAddress: served.address,
      xdsRestAddress: rest?.address,
      adminAddress: admin.address,
      apiAddress: api?.address,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
