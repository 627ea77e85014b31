import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isConfigFile, rescan, scanFolder } from "./scan-folder.ts";

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

  it("looks at one file again where it is known that nothing else has happened", async () => {
    const outer = await realpath(await mkdtemp(join(tmpdir(), "heddle-rescan-")));
    const root = join(outer, "mesh");
    await mkdir(join(root, "sub"), { recursive: true });
    for (const name of ["a.yaml", "b.yaml", "sub/c.yaml"]) await writeFile(join(root, name), "x");
    const scan = await scanFolder(root);
    assert.ok(scan !== undefined);
    const again = (...places: string[]) =>
      rescan(
        root,
        scan,
        places.map((place) => join(outer, place)),
        [],
      );
    await writeFile(join(root, "b.yaml"), "longer"); // nobody has said so
    await writeFile(join(root, "sub/c.yaml.new"), "longer");
    await rename(join(root, "sub/c.yaml.new"), join(root, "sub/c.yaml"));
    const next = await again("mesh/sub/c.yaml.new", "mesh/sub/c.yaml", "elsewhere.yaml");
    assert.notEqual(next?.files.get("sub/c.yaml")?.stamp, scan.files.get("sub/c.yaml")?.stamp);
    assert.equal(next?.files.get("b.yaml"), scan.files.get("b.yaml"));

    await writeFile(join(root, "new.yaml"), "x");
    await mkdir(join(root, "later"));
    await symlink("b.yaml", join(root, "..data"));
    await rm(join(root, "a.yaml"));
    for (const place of ["mesh/new.yaml", "mesh/later", "mesh/..data", "mesh/a.yaml", "mesh/sub", "mesh"])
      assert.equal(await again(place), undefined, place);
    await rm(outer, { recursive: true });
  });

  it("looks at everything again where a file has two names", async () => {
    const root = await realpath(await mkdtemp(join(tmpdir(), "heddle-rescan-")));
    await writeFile(join(root, "a.yaml"), "x");
    await symlink("a.yaml", join(root, "b.yaml"));
    const scan = await scanFolder(root);
    assert.ok(scan !== undefined);
    assert.equal(await rescan(root, scan, [join(root, "a.yaml")], []), undefined);
    await rm(root, { recursive: true });
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
