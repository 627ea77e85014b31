import type { Inspectable, Json } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import { toProtoJson, typeNameOf } from "@heddle/proto";
import { formatPrometheus, PROMETHEUS_CONTENT_TYPE, type SeriesValue } from "@heddle/telemetry";
import { type AdminAnswer, type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import { type EncodedResource, redactSecrets, type Snapshot } from "@heddle/xds";
import type { Snapshots } from "../snapshot/snapshots.ts";
import type { Sources } from "../source/sources.ts";

/** What the pages show. */
export interface AdminSubjects {
  readonly identifier: string;
  readonly sources: Sources;
  readonly snapshots: Snapshots;
  /** Who is connected. */
  readonly nodes: Inspectable;
  /** What clients have reported of their traffic. */
  readonly loads: Inspectable;
  /** What people have put by the resource API; undefined where there is none. */
  readonly stored: Inspectable | undefined;
  /** The cluster that is followed; undefined where there is none. */
  readonly kubernetes: Inspectable | undefined;
  /** The certificate authority; undefined where there is none. */
  readonly ca: CaPages | undefined;
  readonly collectMetrics: () => readonly SeriesValue[];
}

/** What is shown of a certificate authority. */
export interface CaPages extends Inspectable {
  /** Of its own trust domain; undefined: there is none yet. */
  bundleText(format: "pem" | "spiffe"): string | undefined;
}

export function adminPages(subjects: AdminSubjects): readonly AdminPage[] {
  return [
    {
      path: "/ready",
      method: "GET",
      help: "200 once every source has synchronised, 503 before",
      answer: () => (isReady(subjects) ? { body: "ready\n" } : { status: 503, body: "waiting for sources\n" }),
    },
    {
      path: "/status",
      method: "GET",
      help: "who is connected, what each accepted or rejected, and what is wrong with the configuration",
      answer: () => jsonAnswer(status(subjects)),
    },
    {
      path: "/metrics",
      method: "GET",
      help: "counters and gauges, as Prometheus reads them",
      answer: () => ({
        contentType: PROMETHEUS_CONTENT_TYPE,
        body: formatPrometheus([...subjects.collectMetrics()]),
      }),
    },
    {
      path: "/load",
      method: "GET",
      help: "requests by node, cluster and locality, as clients report them (LRS), since each connected",
      answer: () => jsonAnswer(subjects.loads.inspect()),
    },
    {
      path: "/config",
      method: "GET",
      help: "the resources of each connected node by version; ?node=ID shows those of one in full",
      answer: (query) => config(subjects, query.get("node")),
    },
    ...(subjects.ca === undefined ? [] : caPages(subjects.ca)),
  ];
}

function caPages(ca: CaPages): readonly AdminPage[] {
  return [
    {
      path: "/ca",
      method: "GET",
      help: "the certificate authority: its roots, the state of a rotation, whom it trusts",
      answer: () => jsonAnswer(ca.inspect()),
    },
    {
      path: "/ca/bundle",
      method: "GET",
      help: "what clients are to trust, for their --ca-bundle; ?format=spiffe is the SPIFFE bundle format",
      params: [{ name: "format", help: "pem unless said", values: ["pem", "spiffe"] }],
      answer: (query) => {
        const format = query.get("format") === "spiffe" ? "spiffe" : "pem";
        const body = ca.bundleText(format);
        if (body === undefined) return { status: 503, body: "there is no authority yet\n" };
        return { contentType: format === "pem" ? "application/x-pem-file" : "application/json", body };
      },
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
    resources: subjects.stored?.inspect() ?? null,
    ...(subjects.kubernetes !== undefined && { kubernetes: subjects.kubernetes.inspect() }),
    diagnostics: sources.diagnostics.map(diagnosticJson),
    computed: Object.fromEntries(snapshots.computed),
  };
}

function diagnosticJson(diagnostic: Diagnostic): Json {
  return { ...diagnostic, text: formatDiagnostic(diagnostic) };
}

function config({ snapshots }: AdminSubjects, node: string | null): AdminAnswer {
  const current = snapshots.current();
  if (node === null)
    return jsonAnswer(Object.fromEntries([...current].map(([id, s]) => [id, snapshotJson(s, versionOf)])));
  const snapshot = current.get(node);
  if (snapshot === undefined) return { ...jsonAnswer({ error: `no node "${node}" is connected` }), status: 404 };
  return jsonAnswer(snapshotJson(snapshot, contentOf));
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
  return { version, resource: json.ok ? redactSecrets(json.value) : { error: json.error } };
}
