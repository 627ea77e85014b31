import { readFileSync, statSync } from "node:fs";
import { type Clock, err, type Inspectable, type Json, ok, type Result, type Timer } from "@heddle/base";
import { formatDiagnostic, parseYamlDocuments, type YamlDocument } from "@heddle/config";
import { contentHash } from "@heddle/config/lanes";
import type { Log } from "@heddle/telemetry";
import type { FileOrigin } from "@heddle/traffic";
import {
  type AcceptedResource,
  type ResourceType,
  type ResourceTypes,
  type ResourceUpdate,
  resourceFromJson,
} from "@heddle/xds";
import type { ResourceStatus } from "@heddle/xds/client";

/** A file that holds all listeners or all clusters: a `DiscoveryResponse` in YAML or JSON. */
export interface ResourceFile {
  readonly kind: "listener" | "cluster";
  readonly origin: FileOrigin;
}

export interface ResourceFilesOptions {
  readonly files: readonly ResourceFile[];
  readonly types: ResourceTypes;
  readonly clock: Clock;
  readonly log: Log;
  readonly onUpdate: (update: ResourceUpdate) => void;
}

/** How often files are looked at. Looking is one `stat`; a watch of the system would miss what is mounted over the network. */
const LOOK_EVERY_MS = 500;

/**
 * Listeners and clusters that lie in files of this machine (Envoy's `path_config_source`): each file holds a whole
 * `DiscoveryResponse` in YAML or JSON, so what is no longer in it is gone. A file that is wrong changes nothing: the last good
 * content keeps serving, and the log says every fault with its place, once.
 */
export class ResourceFiles implements Inspectable {
  readonly name = "files";
  readonly #options: ResourceFilesOptions;
  readonly #followed: readonly FollowedFile[];
  #timer: Timer | undefined;

  constructor(options: ResourceFilesOptions) {
    this.#options = options;
    this.#followed = options.files.map((file) => ({ file, seen: undefined, held: new Map(), errors: [], version: "" }));
  }

  /** Reads what is there, and looks again from time to time. */
  start(): void {
    for (const followed of this.#followed) this.#look(followed);
    if (this.#followed.length === 0) return;
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => this.start(), true);
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** Of what is in force; and of a file whose last content was refused, under its own name. */
  statuses(): ResourceStatus[] {
    return this.#followed.flatMap(({ file, held, errors, version }) => {
      const { kind } = file;
      const { path } = file.origin;
      const { typeUrl } = this.#options.types[kind];
      const common = { kind, typeUrl, updatedAtMs: undefined } as const;
      const serving = [...held.values()].map(({ name, unhonoured }) => {
        return { ...common, name, state: "SYNCED", version, errors: [], rejectedVersion: "", unhonoured } as const;
      });
      if (errors.length === 0) return serving;
      const refused = { name: path, state: "NACKED", version, errors, rejectedVersion: "", unhonoured: [] } as const;
      return [...serving, { ...common, ...refused }];
    });
  }

  inspect(): Json {
    return this.#followed.map(({ file, held, errors, version }) => ({
      kind: file.kind,
      path: file.origin.path,
      version,
      resources: [...held.keys()],
      errors: [...errors],
    }));
  }

  #look(followed: FollowedFile): void {
    const { kind, origin } = followed.file;
    const { path } = origin;
    const seen = fingerprint(path);
    if (seen === followed.seen) return;
    followed.seen = seen;
    const { log, types, onUpdate } = this.#options;
    const type = types[kind] as ResourceType<unknown>;
    const read = seen === MISSING ? err(["is not there"]) : readResources(path, type);
    if (!read.ok) {
      followed.errors = read.error;
      // A file that is gone may be on its way back: editors and mounts replace it.
      if (seen === MISSING) log.warn("a file of resources is not there", { kind, path });
      else log.error("a file of resources is refused; what it held before serves", { kind, path, errors: read.error });
      // Nobody shall wait for its first content any longer (Envoy's init target is ready then, too).
      if (seen !== MISSING && followed.version === "")
        onUpdate({ kind, origin, changed: new Map(), removed: [], absent: [] });
      return;
    }
    const { resources, version } = read.value;
    const changed = new Map<string, AcceptedResource>();
    for (const [name, resource] of resources) {
      if (followed.held.get(name)?.hash !== resource.hash) changed.set(name, { ...resource, version });
      for (const { path: at, note } of resource.unhonoured)
        log.warn("configuration without effect", { field: `${path}: ${name}: ${at}: ${note}` });
    }
    const removed = [...followed.held.keys()].filter((name) => !resources.has(name));
    followed.held = resources;
    followed.errors = [];
    followed.version = version;
    log.info("a file of resources is in force", { kind, path, version, resources: resources.size });
    onUpdate({ kind, origin, changed, removed, absent: [] });
  }
}

interface FollowedFile {
  readonly file: ResourceFile;
  seen: string | undefined;
  held: ReadonlyMap<string, HeldResource>;
  errors: readonly string[];
  version: string;
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
function fingerprint(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stats === undefined ? MISSING : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}`;
}

interface ReadResources {
  readonly version: string;
  readonly resources: ReadonlyMap<string, HeldResource>;
}

function readResources(path: string, type: ResourceType<unknown>): Result<ReadResources, readonly string[]> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return err([`cannot be read: ${(error as Error).message}`]);
  }
  const documents = parseYamlDocuments(path, text);
  if (!documents.ok) return err(documents.error.map(formatDiagnostic));
  const [document, second] = documents.value;
  if (document === undefined) return err(["is empty; allowed is a DiscoveryResponse"]);
  if (second !== undefined) return err(["holds a second document, allowed is one DiscoveryResponse"]);
  return readResponse(document, text, type);
}

function readResponse(
  document: YamlDocument,
  text: string,
  type: ResourceType<unknown>,
): Result<ReadResources, readonly string[]> {
  const faults: string[] = [];
  const fault = (path: string, message: string): void =>
    void faults.push(formatDiagnostic(document.diagnostic(path, message)));
  const json = isObject(document.json) ? document.json : {};
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

function isObject(json: Json): json is { readonly [key: string]: Json } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
