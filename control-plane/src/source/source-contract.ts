import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { itemKey, type Source } from "./source.ts";

/** What the contract needs of a kind of source: a place to put things, and a source that reads it. */
export interface SourceFixture {
  readonly source: Source;
  /** Puts one or more documents under a name, in place of what was there. Resolves when it has been put. */
  readonly put: (name: string, yaml: string) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  /** Ends what the fixture itself holds; the source has been closed before. */
  readonly dispose: () => Promise<void>;
}

/** What every source does, whatever it reads from. One call in each source's test. */
export function sourceContract(name: string, makeFixture: () => Promise<SourceFixture>): void {
  describe(`${name} as a source`, () => {
    const open: Running[] = [];
    const run = async (prepare?: (fixture: SourceFixture) => Promise<void>): Promise<Running> => {
      const fixture = await makeFixture();
      await prepare?.(fixture);
      const running = new Running(fixture);
      open.push(running);
      return running;
    };
    afterEach(async () => {
      for (const running of open.splice(0)) await running.close();
    });

    it("holds nothing before it has been started, and everything once it has synchronised", async () => {
      const running = await run(async ({ put, source }) => {
        await put("a", service("a"));
        await put("b", service("b"));
        assert.equal(source.items, undefined);
      });
      running.start();
      await running.until("both are there", (keys) => keys.length === 2);
      assert.deepEqual(running.keys, ["service default/a", "service default/b"]);
    });

    it("synchronises when there is nothing", async () => {
      const running = await run();
      running.start();
      await running.until("it has synchronised", () => true);
      assert.deepEqual(running.keys, []);
    });

    it("follows what is put, changed and removed", async () => {
      const running = await run();
      running.start();
      await running.until("it has synchronised", () => true);
      await running.fixture.put("a", service("a", 80));
      await running.until("a is there", (keys) => keys.length === 1);
      await running.fixture.put("a", service("a", 81));
      await running.until("a has changed", () => running.portOf("a") === 81);
      await running.fixture.remove("a");
      await running.until("a is gone", (keys) => keys.length === 0);
    });

    it("keeps the same objects for what did not change", async () => {
      const running = await run(async ({ put }) => {
        await put("a", service("a"));
        await put("b", service("b", 80));
      });
      running.start();
      await running.until("both are there", (keys) => keys.length === 2);
      const before = running.item("service default/a");
      await running.fixture.put("b", service("b", 81));
      await running.until("b has changed", () => running.portOf("b") === 81);
      assert.equal(running.item("service default/a"), before);
    });

    it("keeps the last good content of what becomes bad, says what is wrong, and follows again when it is mended", async () => {
      const running = await run(async ({ put }) => {
        await put("a", service("a", 80));
        await put("b", service("b", 80));
      });
      running.start();
      await running.until("both are there", (keys) => keys.length === 2);
      await running.fixture.put("a", service("a", 99_999));
      await running.until("the fault is reported", () => running.source.diagnostics.length === 1);
      assert.equal(running.portOf("a"), 80);
      await running.fixture.put("b", service("b", 81));
      await running.until("b has changed beside it", () => running.portOf("b") === 81);
      assert.equal(running.portOf("a"), 80);
      await running.fixture.put("a", service("a", 82));
      await running.until("a is mended", () => running.portOf("a") === 82);
      assert.deepEqual(running.source.diagnostics, []);
    });

    it("says nothing more after it has been closed", async () => {
      const running = await run();
      running.start();
      await running.until("it has synchronised", () => true);
      await running.source.close();
      const { changes } = running;
      await running.fixture.put("a", service("a"));
      assert.equal(running.changes, changes);
    });
  });
}

/** A source that is running, and a way to wait for what it will say. */
export class Running {
  readonly fixture: SourceFixture;
  changes = 0;
  #wake: () => void = () => {};

  constructor(fixture: SourceFixture) {
    this.fixture = fixture;
  }

  get source(): Source {
    return this.fixture.source;
  }

  get keys(): readonly string[] {
    return (this.source.items ?? []).map(itemKey).sort();
  }

  start(): void {
    this.source.start(() => {
      this.changes += 1;
      this.#wake();
    });
  }

  item(key: string): unknown {
    return this.source.items?.find((item) => itemKey(item) === key);
  }

  portOf(name: string): number | undefined {
    const service = this.source.items?.find((item) => itemKey(item) === `service default/${name}`);
    return service?.kind === "service" ? service.ports[0]?.port : undefined;
  }

  /** Resolves once the source has synchronised and the condition holds; the test's own time limit ends the waiting. */
  async until(_what: string, condition: (keys: readonly string[]) => boolean): Promise<void> {
    while (this.source.items === undefined || !condition(this.keys))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  async close(): Promise<void> {
    await this.source.close();
    await this.fixture.dispose();
  }
}

export function service(name: string, port = 80): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { ports: [{ port: ${port} }] }\n`;
}
