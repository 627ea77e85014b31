import assert from "node:assert/strict";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { ScriptedExchange, silentLog, unseenMetrics } from "@heddle/filter/testing";
import { NO_RUNTIME } from "@heddle/traffic";
import { builtInFilters } from "./built-in-filters.ts";
import { FilterModules, MODULE_CONFIG_TYPE } from "./filter-modules.ts";

const EXAMPLES = resolve(import.meta.dirname, "../../../../examples/filters");
let folder = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "heddle-filters-"));
});

after(() => rm(folder, { recursive: true }));

/** A filter that answers with this status. */
function source(status: number): string {
  return `export default {
    parse: (config) => ({ ok: true, value: config }),
    create: () => ({ create: () => ({
      requestHead(exchange) { exchange.reply({ status: ${status}, details: "module" }); return "continue"; },
    }) }),
  };`;
}

describe("a filter module", () => {
  test("is loaded by its path from the folder of the configuration, and stands in a chain", async () => {
    const modules = new FilterModules(EXAMPLES);
    assert.equal((await modules.load("./request-tag.ts")).ok, true);
    const type = builtInFilters(modules).get(MODULE_CONFIG_TYPE);
    assert.ok(type);
    const config = { modulePath: "./request-tag.ts", config: { value: "blue" } };
    const exchange = new ScriptedExchange({ filters: [{ filter: type, config }] });
    exchange.sendRequest("GET", "/");
    assert.equal(exchange.atUpstream.head?.headers.get("x-tag"), "blue");
  });

  test("checks its own part of the configuration, told by its path", async () => {
    const modules = new FilterModules(EXAMPLES);
    await modules.load("./request-tag.ts");
    const parsed = modules.type.parse({ modulePath: "./request-tag.ts", config: { value: 1 } });
    assert.deepEqual(!parsed.ok && parsed.error.map(({ path }) => path), ["config.value"]);
    const noPath = modules.type.parse({ config: {} });
    assert.deepEqual(!noPath.ok && noPath.error.map(({ path }) => path), ["modulePath"]);
  });

  test("is loaded while its configuration is read, where that decides what is accepted", async () => {
    await writeFile(
      join(folder, "picky.mjs"),
      'export default { parse: () => ({ ok: false, error: [{ path: "colour", message: "is missing" }] }), create() {} };',
    );
    await writeFile(join(folder, "waits.mjs"), "await 1; export default {};");
    const { type } = new FilterModules(folder, { loadOnParse: true });
    const issuesOf = (modulePath: string): unknown => {
      const parsed = type.parse({ modulePath, config: {} });
      return parsed.ok ? [] : parsed.error.map(({ path, message }) => `${path}: ${message.replaceAll(folder, "")}`);
    };
    assert.deepEqual(issuesOf("picky.mjs"), ["config.colour: is missing"]);
    assert.deepEqual(issuesOf("absent.mjs"), ["modulePath: cannot be loaded: Cannot find module '/absent.mjs'"]);
    assert.match(String(issuesOf("waits.mjs")), /^modulePath: cannot be loaded: .*top-level await/);
    const example = new FilterModules(EXAMPLES, { loadOnParse: true }).type.parse({
      modulePath: "./request-tag.ts",
      config: { value: 1 },
    });
    assert.deepEqual(!example.ok && example.error.map(({ path }) => path), ["config.value"]);
  });

  test("that is missing, throws, or exports no filter is told by name", async () => {
    await writeFile(join(folder, "throws.mjs"), 'throw new Error("at load");');
    await writeFile(join(folder, "empty.mjs"), "export const nothing = 1;");
    const modules = new FilterModules(folder);
    for (const [path, reason] of [
      ["missing.mjs", /missing\.mjs: ENOENT/],
      ["throws.mjs", /throws\.mjs: at load/],
      ["empty.mjs", /empty\.mjs: the default export is no filter/],
    ] as const) {
      const result = await modules.load(path);
      assert.match(result.ok ? "" : result.error, reason);
    }
  });

  test("is loaded again when its file has changed", async () => {
    const modules = new FilterModules(folder);
    const path = join(folder, "changing.mjs");
    const statusNow = async (): Promise<number | undefined> => {
      await modules.load("changing.mjs");
      const config = { modulePath: "changing.mjs" };
      const exchange = new ScriptedExchange({ filters: [{ filter: modules.type, config }] });
      exchange.sendRequest("GET", "/");
      return exchange.atClient.head?.status;
    };
    await writeFile(path, source(401));
    await utimes(path, 1, 1);
    assert.equal(await statusNow(), 401);
    await writeFile(path, source(402));
    await utimes(path, 2, 2);
    assert.equal(await statusNow(), 402);
  });

  test("that was not loaded cannot be built", () => {
    const { type } = new FilterModules(folder);
    const context = {
      name: "m",
      clock: new ManualClock(),
      log: silentLog,
      metrics: unseenMetrics,
      runtime: NO_RUNTIME,
    };
    assert.throws(() => type.create({ modulePath: "x.mjs", config: {} }, context), /x\.mjs has not been loaded/);
  });
});
