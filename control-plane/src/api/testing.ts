import assert from "node:assert/strict";
import { ManualClock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { makeResourceTypes } from "@heddle/xds";
import { quietLog } from "@heddle/xds/testing";
import { parseResource } from "../source/parse-resource.ts";
import { readFileText } from "../source/read-file.ts";
import type { Source, SourceItem } from "../source/source.ts";
import { Sources } from "../source/sources.ts";
import { StoredSource } from "../source/stored.ts";
import { ScriptedStore } from "../store/scripted-store.ts";
import { ANYBODY } from "./access.ts";
import { ResourceService } from "./resource-service.ts";
import type { ApiError, ApplyRequest, BatchResponse } from "./wire.ts";

/* For tests of the resource API: a service over a store in memory, beside a folder that is a text. */

export class ApiFixture {
  readonly store = new ScriptedStore();
  readonly clock = new ManualClock();
  readonly stored = new StoredSource(this.store);
  readonly files: TextSource;
  readonly sources: Sources;
  readonly service: ResourceService;
  /** What was logged: the audit. */
  readonly lines: string[] = [];

  constructor(folder = "") {
    this.files = new TextSource(folder);
    this.sources = new Sources([this.files, this.stored]);
    const log: Log = {
      ...quietLog,
      info: (message, fields) => void this.lines.push(`${message} ${JSON.stringify(fields)}`),
    };
    this.service = new ResourceService({
      store: this.store,
      stored: this.stored,
      sources: this.sources,
      types: makeResourceTypes({ httpFilters: "unchecked" }),
      clock: this.clock,
      log,
    });
  }

  /** Starts everything. Without it the store has not been read. */
  async start(): Promise<this> {
    this.sources.start(() => {});
    await this.store.start();
    return this;
  }

  /** Applies one text as anybody. */
  apply(text: string, more: Partial<ApplyRequest> = {}) {
    return this.service.apply(ANYBODY, { manifests: [{ source: "test.yaml", text }], ...more });
  }

  /** The same, which must be good; outcomes as lines. */
  async applied(text: string, more: Partial<ApplyRequest> = {}): Promise<readonly string[]> {
    return outcomeLines(valueOfResult(await this.apply(text, more)));
  }

  /** The same, which must fail. */
  async refused(text: string, more: Partial<ApplyRequest> = {}): Promise<ApiError> {
    const answer = await this.apply(text, more);
    assert.ok(!answer.ok, "it was not refused");
    return answer.error;
  }
}

export function outcomeLines({ outcomes }: BatchResponse): readonly string[] {
  return outcomes.map(
    ({ key, outcome, version }) =>
      `${outcome} ${key.type.split(/[./]/).at(-1)} ${[key.namespace, key.name, key.nodeCluster].filter((part) => part !== "").join(" ")} ${version}`,
  );
}

export function valueOfResult<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown },
): T {
  assert.ok(result.ok, result.ok ? "" : JSON.stringify(result.error));
  return result.value;
}

/** A line for each: "test.yaml:3:5 (1): spec.x: message". */
export function diagnosticLines({ diagnostics = [] }: Pick<ApiError, "diagnostics">): readonly string[] {
  return diagnostics.map(
    ({ severity, source, document, line, column, path, message }) =>
      `${severity} ${source}:${line}:${column} (${document}): ${path}: ${message}`,
  );
}

export const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

export function cluster(name: string, timeout = 1, more = ""): string {
  return `"@type": ${CLUSTER}\nname: ${name}\nconnect_timeout: ${timeout}s\nload_assignment: { cluster_name: x }\n${more}`;
}

/** A folder of one file that is this text. */
class TextSource implements Source {
  readonly name = "files folder";
  readonly diagnostics = [];
  items: readonly SourceItem[] | undefined;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  start(onChange: () => void): void {
    const { items, diagnostics } = readFileText("folder/mesh.yaml", this.#text, parseResource);
    assert.deepEqual(diagnostics, []);
    this.items = items;
    onChange();
  }

  async close(): Promise<void> {}
}
