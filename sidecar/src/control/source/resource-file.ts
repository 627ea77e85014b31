import { readFileSync, statSync } from "node:fs";
import { type Clock, err, isJsonObject, type Json, ok, type Result, type Timer } from "@heddle/base";
import { formatDiagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config";
import { contentHash } from "@heddle/config/lanes";
import { decodeDiscoveryResponse } from "@heddle/proto";
import type { Log } from "@heddle/telemetry";
import type { FileOrigin } from "@heddle/traffic";
import { type AcceptedResource, type ResourceKind, type ResourceUpdate, resourceFromJson } from "@heddle/xds";
import type { ClientResourceType, ResourceStatus, UpdateMetrics } from "@heddle/xds/client";
import type { ResourceFeed } from "./resource-sources.ts";

export interface ResourceFileOptions {
  readonly origin: FileOrigin;
  readonly type: ClientResourceType;
  readonly clock: Clock;
  readonly log: Log;
  readonly onUpdate: (update: ResourceUpdate) => void;
  /** Of listeners and clusters. Left out: they stand beside each resource. */
  readonly metrics?: UpdateMetrics | undefined;
}

/** How often a file is looked at. Looking is one `stat`; a watch of the system would miss what is mounted over the network. */
const LOOK_EVERY_MS = 500;

/**
 * Resources of one type that lie in a file of this machine (`PathConfigSource`): a whole `DiscoveryResponse` in YAML or JSON, or
 * serialised in a file whose name ends in ".pb". Of listeners and clusters it is the complete set, so what is no longer in it is
 * gone; of the other types what was in it stays. A file that is wrong changes nothing: the last good content keeps
 * serving, and the log says every fault with its place, once.
 *
 * It is read again when it differs, or, with a watched folder, when something is renamed into that folder (or made or removed
 * in it).
 */
export class ResourceFile implements ResourceFeed {
  readonly name = "file";
  readonly #options: ResourceFileOptions;
  #names: ReadonlySet<string> = new Set();
  #timer: Timer | undefined;
  #seen: string | undefined;
  /** What the file holds, wanted or not. */
  #held: ReadonlyMap<string, HeldResource> = new Map();
  /** What was told of it, by hash; undefined: that it is not there. */
  readonly #told = new Map<string, string | undefined>();
  #toldAnything = false;
  #errors: readonly string[] = [];
  #version = "";

  constructor(options: ResourceFileOptions) {
    this.#options = options;
  }

  /** Reads in the next turn, so that nobody is called back while asking. */
  subscribe(_kind: ResourceKind, names: ReadonlySet<string>): void {
    this.#names = names;
    for (const name of this.#told.keys()) if (!this.#wants(name)) this.#told.delete(name);
    this.#timer?.cancel();
    this.#timer = names.size === 0 ? undefined : this.#options.clock.after(0, () => this.#follow(), true);
  }

  close(): void {
    this.#timer?.cancel();
    this.#names = new Set();
  }

  /** Of what is in force; and of a file whose last content was refused, under its own name. */
  statuses(): ResourceStatus[] {
    const { type, origin } = this.#options;
    const common = { kind: type.kind, typeUrl: type.typeUrl, updatedAtMs: undefined } as const;
    const version = this.#version;
    const serving = [...this.#held.values()]
      .filter(({ name }) => this.#wants(name))
      .map(({ name, unhonoured }) => {
        return { ...common, name, state: "SYNCED", version, errors: [], rejectedVersion: "", unhonoured } as const;
      });
    if (this.#errors.length === 0) return serving;
    const refused = { state: "NACKED", version, errors: this.#errors, rejectedVersion: "", unhonoured: [] } as const;
    return [...serving, { ...common, name: origin.path, ...refused }];
  }

  inspect(): Json {
    const { type, origin } = this.#options;
    return {
      kind: type.kind,
      path: origin.path,
      version: this.#version,
      resources: [...this.#held.keys()],
      errors: [...this.#errors],
    };
  }

  #wants(name: string): boolean {
    return this.#names.has("*") || this.#names.has(name);
  }

  /** Looks now, and again from time to time. */
  #follow(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => this.#follow(), true);
    const { path, watchedFolder } = this.#options.origin;
    const seen = fingerprint(watchedFolder ?? path);
    if (seen !== this.#seen || (watchedFolder !== undefined && this.#version === "")) {
      this.#seen = seen;
      this.#read();
    }
    this.#tell();
  }

  #read(): void {
    const { log, type, origin, metrics, clock } = this.#options;
    const { kind } = type;
    const { path } = origin;
    const missing = fingerprint(path) === MISSING;
    const read = missing ? err(["is not there"]) : readResourceFile(path, type);
    if (!read.ok) {
      const isNews = read.error.join("\n") !== this.#errors.join("\n");
      this.#errors = read.error;
      if (!isNews) return;
      metrics?.count(missing ? "failure" : "rejected", clock.wallNow());
      // A file that is gone may be on its way back: editors and mounts replace it.
      if (missing) log.warn("a file of resources is not there", { kind, path });
      else log.error("a file of resources is refused; what it held before serves", { kind, path, errors: read.error });
      // Nobody shall wait for its first content any longer (Envoy's init target is ready then, too).
      if (!missing && this.#version === "") this.#update({ changed: new Map(), removed: [], absent: [] });
      return;
    }
    const { resources, version } = read.value;
    metrics?.count("success", clock.wallNow());
    for (const [name, { hash, unhonoured }] of resources) {
      if (this.#held.get(name)?.hash === hash) continue;
      for (const { path: at, note } of unhonoured)
        log.warn("configuration without effect", { field: `${path}: ${name}: ${at}: ${note}` });
    }
    // Where the set is not complete, what is no longer in it has not been taken back.
    this.#held = type.completeInSotw ? resources : new Map([...this.#held, ...resources]);
    this.#errors = [];
    this.#version = version;
    this.#toldAnything = false;
    log.info("a file of resources is in force", { kind, path, version, resources: resources.size });
  }

  /** What whoever asked does not know yet. */
  #tell(): void {
    if (this.#version === "") return; // nothing has been read yet
    const changed = new Map<string, AcceptedResource>();
    for (const [name, resource] of this.#held) {
      if (!this.#wants(name) || this.#told.get(name) === resource.hash) continue;
      this.#told.set(name, resource.hash);
      changed.set(name, { ...resource, version: this.#version });
    }
    const removed = [...this.#told.keys()].filter(
      (name) => this.#told.get(name) !== undefined && !this.#held.has(name),
    );
    const absent = [...this.#names].filter((name) => name !== "*" && !this.#held.has(name) && !this.#told.has(name));
    for (const name of removed) this.#told.delete(name);
    for (const name of absent) this.#told.set(name, undefined);
    // The first content is news even if it holds nothing.
    if (this.#toldAnything && changed.size + removed.length + absent.length === 0) return;
    this.#update({ changed, removed, absent });
  }

  #update(update: Pick<ResourceUpdate, "changed" | "removed" | "absent">): void {
    const { type, origin, onUpdate } = this.#options;
    this.#toldAnything = true;
    onUpdate({ kind: type.kind, origin, ...update });
  }
}

interface HeldResource {
  readonly name: string;
  readonly config: unknown;
  readonly unhonoured: AcceptedResource["unhonoured"];
  /** Of its bytes. */
  readonly hash: string;
}

const MISSING = "missing";

/** Differs whenever the content may: of the file behind any link, so that a link that is moved counts. */
export function fingerprint(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stats === undefined ? MISSING : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}`;
}

interface ReadResources {
  readonly version: string;
  readonly resources: ReadonlyMap<string, HeldResource>;
}

/** Everything that such a file holds, or every fault of it. */
export function readResourceFile(path: string, type: ClientResourceType): Result<ReadResources, readonly string[]> {
  if (/\.(pb_text|textproto|txtpb)$/.test(path))
    return err([`${path}: allowed are YAML, JSON and serialised (.pb) files`]);
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return err([`cannot be read: ${(error as Error).message}`]);
  }
  return path.endsWith(".pb") ? readBinary(path, bytes, type) : readText(path, bytes.toString("utf8"), type);
}

function readText(path: string, text: string, type: ClientResourceType): Result<ReadResources, readonly string[]> {
  const documents = parseYamlDocuments(path, text);
  if (!documents.ok) return err(documents.error.map(formatDiagnostic));
  const [document, second] = documents.value;
  if (document === undefined) return err(["is empty; allowed is a DiscoveryResponse"]);
  if (second !== undefined) return err(["holds a second document, allowed is one DiscoveryResponse"]);
  return readResponse(document, text, type);
}

function readBinary(path: string, bytes: Buffer, type: ClientResourceType): Result<ReadResources, readonly string[]> {
  const faults: string[] = [];
  const resources = new Map<string, HeldResource>();
  let response: ReturnType<typeof decodeDiscoveryResponse>;
  try {
    response = decodeDiscoveryResponse(bytes);
  } catch (error) {
    return err([`${path}: is no DiscoveryResponse: ${(error as Error).message}`]);
  }
  for (const [index, { typeUrl, value }] of response.resources.entries()) {
    const at = `${path}: resources[${index}]`;
    if (typeUrl !== type.typeUrl) {
      faults.push(`${at}: found ${typeUrl}, allowed is ${type.typeUrl}`);
      continue;
    }
    const decoded = type.decode(value);
    if (!decoded.ok) {
      faults.push(...decoded.error.map((problem) => `${at}.${problem}`));
      continue;
    }
    const name = type.nameOf(decoded.value.config);
    if (resources.has(name)) faults.push(`${at}: there are two named "${name}"`);
    resources.set(name, { name, ...decoded.value, hash: contentHash(value) });
  }
  if (faults.length > 0) return err(faults);
  return ok({ version: response.versionInfo === "" ? contentHash(bytes) : response.versionInfo, resources });
}

function readResponse(
  document: YamlDocument,
  text: string,
  type: ClientResourceType,
): Result<ReadResources, readonly string[]> {
  const faults: string[] = [];
  const fault = (path: string, message: string): void =>
    void faults.push(formatDiagnostic(document.diagnostic(path, message)));
  const json = isJsonObject(document.json) ? document.json : {};
  const list = json["resources"] ?? [];
  for (const key of Object.keys(json)) if (!FIELDS.has(key)) fault(key, "is no field of a DiscoveryResponse");
  if (!Array.isArray(list)) fault("resources", "allowed is a list");
  const resources = new Map<string, HeldResource>();
  for (const [index, item] of (Array.isArray(list) ? list : []).entries()) {
    const at = `resources[${index}]`;
    const raw = resourceFromJson(item);
    if (!raw.ok) {
      for (const { path, message } of raw.error) fault(joined(at, path), message);
      continue;
    }
    const { type: typeUrl, bytes } = raw.value;
    if (typeUrl !== type.typeUrl) {
      fault(`${at}.@type`, `found ${typeUrl}, allowed is ${type.typeUrl}`);
      continue;
    }
    const decoded = type.decode(bytes);
    if (!decoded.ok) {
      for (const problem of decoded.error) {
        const colon = problem.indexOf(": ");
        fault(joined(at, colon === -1 ? "" : problem.slice(0, colon)), problem.slice(colon === -1 ? 0 : colon + 2));
      }
      continue;
    }
    const { name, config, unhonoured } = { name: raw.value.name, ...decoded.value };
    if (resources.has(name)) fault(at, `there are two named "${name}"`);
    resources.set(name, { name, config, unhonoured, hash: contentHash(bytes) });
  }
  if (faults.length > 0) return err(faults);
  const said = json["version_info"] ?? json["versionInfo"];
  return ok({ version: typeof said === "string" && said !== "" ? said : contentHash(Buffer.from(text)), resources });
}

/** Of `envoy.service.discovery.v3.DiscoveryResponse`, in both spellings. */
const FIELDS: ReadonlySet<string> = new Set([
  "resources", "version_info", "versionInfo", "type_url", "typeUrl", "canary", "nonce", "control_plane", "controlPlane",
]); // biome-ignore format: a table

function joined(base: string, path: string): string {
  if (path === "") return base;
  return path.startsWith("[") ? base + path : `${base}.${path}`;
}
