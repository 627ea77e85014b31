import type { Clock } from "@heddle/base";
import type { Log, MetricScope, SeriesValue } from "@heddle/telemetry";
import { makeResourceTypes } from "@heddle/xds";
import { ClientStatusServer, LoadReportServer, ReportServer, XdsServer } from "@heddle/xds/server";
import { NodeStatuses } from "./admin/node-statuses.ts";
import { adminPages } from "./admin/pages.ts";
import { serveAdmin } from "./admin/serve-admin.ts";
import type { HostPort } from "./serve/address.ts";
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
  readonly xdsAddress: HostPort;
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
  readonly adminAddress: HostPort;
  stop(): Promise<void>;
}

/** Joins the control plane: source > mesh > snapshot > serve. Rejects, with nothing left behind, if an address is taken. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folders, store, xdsAddress, adminAddress, identifier, clock, log, metrics, collectMetrics } = options;

  const files = folders.map((folder) => new FileSource({ folder, clock, parse: parseResource }));
  const sources = new Sources(store === undefined ? files : [...files, new StoredSource(store)]);
  // What raw resources ask of filters is for the proxies to judge, which may not be ours.
  const snapshots = new Snapshots(makeResourceTypes({ httpFilters: "unchecked" }));
  const xds = new XdsServer({ source: snapshots, log, metrics, clock, identifier });
  const reports = new ReportServer({ clock, log });
  const loads = new LoadReportServer({ clock, log });
  const statuses = new ClientStatusServer(() => xds.clients());

  const served = await serveXds([xds, reports, loads, statuses], xdsAddress);
  const nodes = new NodeStatuses(xds, reports);
  const pages = adminPages({ identifier, sources, snapshots, nodes, loads, collectMetrics });
  const admin = await serveAdmin(pages, adminAddress, log).catch(async (error: unknown) => {
    await served.close();
    throw error;
  });

  const diagnosticLog = new DiagnosticLog(log);
  sources.start(() => {
    if (sources.world !== undefined) snapshots.publish(sources.world);
    diagnosticLog.show(sources.diagnostics); // after: what is wrong between objects takes looking at all of them
  });

  return {
    xdsAddress: served.address,
    adminAddress: admin.address,
    async stop() {
      await sources.close();
      await Promise.all([served.close(), admin.close()]);
    },
  };
}
