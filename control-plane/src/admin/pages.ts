import type { Inspectable, Json } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import { toProtoJson, typeNameOf } from "@heddle/proto";
import { formatPrometheus, type SeriesValue } from "@heddle/telemetry";
import type { EncodedResource, Snapshot } from "@heddle/xds";
import type { Snapshots } from "../snapshot/snapshots.ts";
import type { Sources } from "../source/sources.ts";
import type { AdminPage } from "./admin-server.ts";

/** What the pages show. */
export interface AdminSubjects {
  readonly identifier: string;
  readonly sources: Sources;
  readonly snapshots: Snapshots;
  /** Who is connected. */
  readonly nodes: Inspectable;
  readonly collectMetrics: () => readonly SeriesValue[];
}

export function adminPages(subjects: AdminSubjects): readonly AdminPage[] {
  return [
    {
      path: "/ready",
      summary: "200 once every source has synchronised, 503 before",
      answer: () =>
        isReady(subjects) ? { status: 200, body: "ready\n" } : { status: 503, body: "waiting for sources\n" },
    },
    {
      path: "/status",
      summary: "who is connected, what each accepted or rejected, and what is wrong with the configuration",
      answer: () => ({ status: 200, body: status(subjects) }),
    },
    {
      path: "/metrics",
      summary: "counters and gauges, as Prometheus reads them",
      answer: () => ({ status: 200, body: formatPrometheus([...subjects.collectMetrics()]) }),
    },
    {
      path: "/config",
      summary: "the resources of each connected node by version; ?node=ID shows those of one in full",
      answer: (query) => config(subjects, query.get("node")),
    },
  ];
}

function isReady({ sources }: AdminSubjects): boolean {
  return sources.world !== undefined;
}

function status(subjects: AdminSubjects): Json {
  const { identifier, sources, snapshots, nodes } = subjects;
  return {
    identifier,
    pid: process.pid,
    ready: isReady(subjects),
    nodes: nodes.inspect(),
    sources: sources.all.map(({ name, items, diagnostics }) => ({
      name,
      synchronised: items !== undefined,
      items: items?.length ?? 0,
      errors: diagnostics.filter(({ severity }) => severity === "error").length,
    })),
    diagnostics: sources.diagnostics.map(diagnosticJson),
    computed: Object.fromEntries(snapshots.computed),
  };
}

function diagnosticJson(diagnostic: Diagnostic): Json {
  return { ...diagnostic, text: formatDiagnostic(diagnostic) };
}

function config({ snapshots }: AdminSubjects, node: string | null): { status: number; body: Json } {
  const current = snapshots.current();
  if (node === null)
    return { status: 200, body: Object.fromEntries([...current].map(([id, s]) => [id, snapshotJson(s, versionOf)])) };
  const snapshot = current.get(node);
  if (snapshot === undefined) return { status: 404, body: { error: `no node "${node}" is connected` } };
  return { status: 200, body: snapshotJson(snapshot, contentOf) };
}

function snapshotJson(snapshot: Snapshot, show: (typeName: string, resource: EncodedResource) => Json): Json {
  const types = [...snapshot.resources].map(([typeUrl, resources]) => {
    const typeName = typeNameOf(typeUrl);
    return [typeName, Object.fromEntries([...resources].map(([name, resource]) => [name, show(typeName, resource)]))];
  });
  return Object.fromEntries(types);
}

function versionOf(_typeName: string, { version }: EncodedResource): Json {
  return version;
}

function contentOf(typeName: string, { version, bytes }: EncodedResource): Json {
  const json = toProtoJson(typeName, bytes);
  return { version, resource: json.ok ? json.value : { error: json.error } };
}
