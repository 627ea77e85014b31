import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Plugin, rolldown } from "rolldown";
import { builtinModulesPlugin } from "./builtin-modules.ts";

const PROGRAM = `
  import { request } from "node:http";
  import { createHash } from "crypto";
  import path, { basename as nameOf } from "node:path";
  const loaded = process.moduleLoadList.some((name) => name.includes("undici"));
  console.log(typeof request, createHash("sha1").update("a").digest("hex").slice(0, 4), path.join("a", "b"), nameOf("/c/d"), loaded);
`;

test("a bundle has what it imports of Node's modules, and loads nothing that stands behind other properties", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-bundle-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const input = join(folder, "program.mjs");
  writeFileSync(input, PROGRAM);
  const run = async (name: string, plugins: Plugin[]): Promise<string> => {
    const bundle = await rolldown({ input, platform: "node", plugins });
    const file = join(folder, `${name}.mjs`);
    await bundle.write({ file, format: "esm" });
    await bundle.close();
    return execFileSync(process.execPath, [file], { encoding: "utf8" }).trim();
  };
  assert.equal(await run("with", [builtinModulesPlugin()]), "function 86f7 a/b d false");
  assert.equal(await run("without", []), "function 86f7 a/b d true", "Node does so no more: the plugin can go");
});
