import type { Diagnostic } from "@heddle/config";
import type { MeshObject } from "@heddle/mesh";
import { checkGeneratedNames } from "./check-generated-names.ts";
import type { IssuerDirectory } from "./issuer-directory.ts";
import { type Merged, mergeItems, type World } from "./merge.ts";
import type { Source, SourceItem } from "./source.ts";

/** All sources as one: the world that they make together, and everything that is wrong with it. */
export class Sources {
  readonly all: readonly Source[];
  readonly #issuers: IssuerDirectory | undefined;
  #merged: Merged | undefined;
  #onChange: () => void = () => {};

  /** @param issuers says of policies where keys are. Left out: nobody is asked */
  constructor(all: readonly Source[], issuers?: IssuerDirectory) {
    this.all = all;
    this.#issuers = issuers;
  }

  /** Undefined until every source has synchronised: half a world would take the other half out of the mesh. */
  get world(): World | undefined {
    return this.#merged?.world;
  }

  /** Which item serves for each key, where several places have one. */
  get serving(): ReadonlyMap<string, SourceItem> {
    return this.#merged?.serving ?? new Map();
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.all.flatMap((source) => source.diagnostics), ...this.between];
  }

  /** What is wrong between items now; what is wrong with one stands in its source. */
  get between(): readonly Diagnostic[] {
    const merged = this.#merged;
    return merged === undefined ? [] : [...merged.diagnostics, ...checkGeneratedNames(merged.world)];
  }

  /** What would be wrong between items if a source held these instead. Undefined until every source has synchronised. */
  suppose(source: Source, items: readonly SourceItem[]): readonly Diagnostic[] | undefined {
    const sets = this.all.map((each) => (each === source ? items : each.items));
    const complete = sets.filter((set) => set !== undefined);
    if (complete.length < sets.length || source.items === undefined) return undefined;
    const merged = mergeItems(complete.flat(), this.serving, undefined, this.#merged);
    return [...merged.diagnostics, ...checkGeneratedNames(merged.world)];
  }

  /** `onChange` is called whenever `world` or `diagnostics` have been replaced. */
  start(onChange: () => void): void {
    this.#onChange = onChange;
    this.#issuers?.start(() => this.#merge());
    for (const source of this.all) source.start(() => this.#merge());
  }

  async close(): Promise<void> {
    await this.#issuers?.close();
    await Promise.all(this.all.map((source) => source.close()));
  }

  #merge(): void {
    const sets = this.all.map(({ items }) => items);
    const complete = sets.filter((items) => items !== undefined);
    if (complete.length === sets.length) {
      const issuers = this.#issuers;
      const resolve = issuers && ((object: MeshObject): MeshObject => issuers.resolve(object));
      this.#merged = mergeItems(complete.flat(), this.serving, resolve, this.#merged);
      issuers?.follow(this.serving.values());
    }
    this.#onChange();
  }
}
