import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isConfigFile, scanFolder } from "./scan-folder.ts";

describe("a look into a folder", () => {
  let folder = "";
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "heddle-scan-")));
    await mkdir(join(folder, "sub"));
    for (const name of ["b.yaml", "a.yaml", "sub/c.json"]) await writeFile(join(folder, name), "x");
    await writeFile(join(folder, "sub/empty.yml"), "");
  });
  after(() => rm(folder, { recursive: true }));

  it("finds files in order, and the folders where an event may mean a change", async () => {
    const scan = await scanFolder(folder);
    assert.deepEqual([...(scan?.files.keys() ?? [])], ["a.yaml", "b.yaml", "sub/c.json", "sub/empty.yml"]);
    assert.deepEqual([...(scan?.folders ?? [])].sort(), [join(folder, ".."), folder, join(folder, "sub")].sort());
    assert.deepEqual([scan?.files.get("sub/empty.yml")?.empty, scan?.truncated], [true, false]);
  });

  it("says that it has left files out", async () => {
    const scan = await scanFolder(folder, 2);
    assert.deepEqual([[...(scan?.files.keys() ?? [])], scan?.truncated], [["a.yaml", "b.yaml"], true]);
    assert.equal((await scanFolder(folder, 4))?.truncated, false);
  });

  it("of what is no folder finds nothing", async () => {
    assert.equal(await scanFolder(join(folder, "nowhere")), undefined);
    assert.equal(await scanFolder(join(folder, "a.yaml")), undefined);
  });

  it("takes files for configuration by their names", () => {
    for (const name of ["a.yaml", "a.yml", "a.json", "a b.yaml"]) assert.equal(isConfigFile(name), true, name);
    for (const name of [".a.yaml", "a.yaml~", "#a.yaml#", "a.yaml.bak", "a.txt", "yaml"])
      assert.equal(isConfigFile(name), false, name);
  });
});
