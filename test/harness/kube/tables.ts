import type { Kind } from "./kinds.ts";
import { type Json, type JsonObject, type KubeObject, member, objectsOf, stringsOf, text } from "./kube-object.ts";

/** Whether somebody asks for rows rather than objects, as kubectl does to print them. */
export function wantsTable(accept: string | undefined): boolean {
  return (accept ?? "").split(",")[0]?.includes("as=Table") === true;
}

/** Whether somebody asks for the metadata of objects alone. */
export function wantsMetadata(accept: string | undefined): boolean {
  return (accept ?? "").split(",")[0]?.includes("as=PartialObjectMetadata") === true;
}

export function metadataOf({ metadata }: KubeObject): JsonObject {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata };
}

/** An empty one has `null` in the place of its items, as Go writes them. */
export function metadataListOf(objects: readonly KubeObject[], listMetadata: JsonObject): JsonObject {
  const items = objects.length === 0 ? null : objects.map(metadataOf);
  return { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1", metadata: listMetadata, items };
}

type Column = readonly [name: string, type: string, cell: (object: KubeObject) => Json];

const shown = (value: Json | undefined): Json =>
  value === undefined || value === null || value === "" ? "<none>" : text(value);

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Namespace: [["Status", "string", (o) => shown(member(o["status"], "phase"))]],
  Pod: [
    ["Ready", "string", (o) => `${objectsOf(member(o["status"], "containerStatuses")).filter(({ ready }) => ready === true).length}/${objectsOf(member(o["spec"], "containers")).length}`],
    ["Status", "string", (o) => (o.metadata.deletionTimestamp === undefined ? shown(member(o["status"], "phase")) : "Terminating")],
  ],
  Service: [
    ["Type", "string", (o) => shown(member(o["spec"], "type"))],
    ["Cluster-IP", "string", (o) => shown(member(o["spec"], "clusterIP"))],
    ["External-IP", "string", (o) => shown(member(o["spec"], "externalName"))],
    ["Port(s)", "string", (o) => objectsOf(member(o["spec"], "ports")).map((port) => `${text(port["port"])}/${text(port["protocol"])}`).join() || "<none>"],
  ],
  ConfigMap: [["Data", "string", (o) => text(Object.keys(o["data"] ?? {}).length)]],
  Secret: [
    ["Type", "string", (o) => shown(o["type"])],
    ["Data", "string", (o) => text(Object.keys(o["data"] ?? {}).length)],
  ],
  EndpointSlice: [
    ["AddressType", "string", (o) => shown(o["addressType"])],
    ["Ports", "string", (o) => objectsOf(o["ports"]).map((port) => text(port["port"])).join() || "<unset>"],
    ["Endpoints", "string", (o) => objectsOf(o["endpoints"]).flatMap(({ addresses }) => stringsOf(addresses)).join() || "<unset>"],
  ],
  Lease: [["Holder", "string", (o) => shown(member(o["spec"], "holderIdentity"))]],
}; // biome-ignore format: a table

/** Objects as a Table of meta/v1. @param includes `includeObject` of the query. */
export function tableOf(
  kind: Kind,
  objects: readonly KubeObject[],
  listMetadata: JsonObject,
  includes: string | null,
): JsonObject {
  const columns: readonly Column[] = [
    ["Name", "string", (o) => o.metadata.name],
    ...(COLUMNS[kind.kind] ?? customColumns(kind)),
    ["Age", "string", (o) => age(o.metadata.creationTimestamp)],
  ];
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: listMetadata,
    columnDefinitions: columns.map(([name, type]) => ({
      name,
      type,
      format: name === "Name" ? "name" : "",
      description: name,
      priority: 0,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(([, , cell]) => cell(object)),
      ...(includes === "None"
        ? {}
        : {
            object:
              includes === "Object"
                ? object
                : { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata },
          }),
    })),
  };
}

function customColumns({ columns = [] }: Kind): readonly Column[] {
  return columns
    .filter(
      (column) =>
        Number(column["priority"] ?? 0) === 0 &&
        /^(\.[\w-]+)+$/.test(text(column["jsonPath"])) &&
        column["name"] !== "Age",
    )
    .map((column) => [
      text(column["name"]),
      text(column["type"]),
      (object) => shown(member(object, ...text(column["jsonPath"]).split(".").slice(1))),
    ]);
}

function age(created: string | null | undefined): string {
  if (created === undefined || created === null) return "<unknown>";
  return `${Math.max(0, Math.floor((Date.now() - Date.parse(created)) / 1000))}s`;
}
