import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { systemClock } from "@heddle/base";
import { formatDiagnostic } from "@heddle/config";
import { FileSource } from "./files.ts";
import { parseResource } from "./parse-resource.ts";
import { Running, type SourceFixture, service, sourceContract } from "./source-contract.ts";

sourceContract("a folder of files", async () => fixture(await mkdtemp(join(tmpdir(), "heddle-files-"))));

describe("a folder of files", { timeout: 20_000 }, () => {
  const open_: Running[] = [];
  afterEach(async () => {
    for (const running of open_.splice(0)) await running.close();
  });
  const start = async (
    prepare?: (folder: string) => Promise<void>,
    inner = "",
  ): Promise<Running & { folder: string }> => {
    const outer = await mkdtemp(join(tmpdir(), "heddle-files-"));
    const folder = join(outer, inner);
    await prepare?.(outer);
    const running = new Running(fixture(folder, outer));
    open_.push(running);
    running.start();
    return Object.assign(running, { folder: outer });
  };

  it("is read with its subfolders; hidden files and what editors leave are not", async () => {
    const running = await start(async (folder) => {
      await mkdir(join(folder, "sub/deeper"), { recursive: true });
      await mkdir(join(folder, ".git"));
      await writeFile(join(folder, "a.yaml"), service("a"));
      await writeFile(join(folder, "sub/deeper/b.yml"), service("b"));
      await writeFile(
        join(folder, "c.json"),
        JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "c" }, spec: {} }),
      );
      for (const other of [
        ".hidden.yaml",
        ".git/x.yaml",
        "a.yaml~",
        "#a.yaml#",
        ".#a.yaml",
        "a.yaml.swp",
        "4913",
        "README.md",
      ])
        await writeFile(join(folder, other), service("never"));
    });
    await running.until("all are there", (keys) => keys.length === 3);
    assert.deepEqual(running.keys, ["service default/a", "service default/b", "service default/c"]);
  });

  it("sees a change of a policy's mode of one port, which is in no JSON", async () => {
    const policy = (mode: string): string =>
      `apiVersion: heddle.dev/v1\nkind: PeerAuthentication\nmetadata: { name: a }\nspec: { selector: { matchLabels: { app: a } }, portLevelMtls: { 8080: { mode: ${mode} } } }\n`;
    const running = await start((folder) => writeFile(join(folder, "a.yaml"), policy("DISABLE")));
    const mode = (): unknown => {
      const [item] = running.source.items ?? [];
      return item?.kind === "peer-authentication" ? item.portModes.get(8080) : undefined;
    };
    await running.until("it is there", () => mode() === "DISABLE");
    await writeFile(join(running.folder, "a.yaml"), policy("STRICT"));
    await running.until("it is another one", () => mode() === "STRICT");
  });

  it("follows files in folders that are made later", async () => {
    const running = await start();
    await running.until("it has synchronised", () => true);
    await mkdir(join(running.folder, "new/deeper"), { recursive: true });
    await writeFile(join(running.folder, "new/deeper/a.yaml"), service("a"));
    await running.until("a is there", (keys) => keys.length === 1);
  });

  it("follows a file that is replaced by renaming another onto it", async () => {
    const running = await start((folder) => writeFile(join(folder, "a.yaml"), service("a", 80)));
    await running.until("a is there", (keys) => keys.length === 1);
    await writeFile(join(running.folder, "a.yaml.tmp"), service("a", 81));
    await rename(join(running.folder, "a.yaml.tmp"), join(running.folder, "a.yaml"));
    await running.until("a has changed", () => running.portOf("a") === 81);
    assert.deepEqual(running.source.diagnostics, []);
  });

  it("never takes the half of a file that is written in pieces", async () => {
    const running = await start((folder) =>
      writeFile(join(folder, "all.yaml"), `${service("a", 80)}---\n${service("b", 80)}`),
    );
    await running.until("both are there", (keys) => keys.length === 2);
    const seen: number[] = [];
    const file = await open(join(running.folder, "all.yaml"), "w"); // empty from here on
    const pieces = `${service("a", 81)}---\n${service("b", 81)}`.match(/[\s\S]{1,20}/g) ?? [];
    for (const piece of pieces) {
      await file.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(running.keys.length);
    }
    await file.close();
    await running.until("both have changed", () => running.portOf("a") === 81 && running.portOf("b") === 81);
    assert.ok(seen.every((count) => count === 2));
  });

  it("follows the swap of the link that a mounted ConfigMap is made of", async () => {
    const running = await start(async (folder) => {
      await mkdir(join(folder, "..v1"));
      await writeFile(join(folder, "..v1/a.yaml"), service("a", 80));
      await symlink("..v1", join(folder, "..data"));
      await symlink("..data/a.yaml", join(folder, "a.yaml"));
    });
    await running.until("a is there", (keys) => keys.length === 1);
    await mkdir(join(running.folder, "..v2"));
    await writeFile(join(running.folder, "..v2/a.yaml"), service("a", 81));
    await symlink("..v2", join(running.folder, "..data_tmp"));
    await rename(join(running.folder, "..data_tmp"), join(running.folder, "..data"));
    await running.until("a has changed", () => running.portOf("a") === 81);
  });

  it("follows the swap of a link that is the folder itself", async () => {
    const running = await start(async (folder) => {
      for (const [version, port] of [
        ["v1", 80],
        ["v2", 81],
      ] as const) {
        await mkdir(join(folder, version));
        await writeFile(join(folder, version, "a.yaml"), service("a", port));
      }
      await symlink("v1", join(folder, "current"));
    }, "current");
    await running.until("a is there", (keys) => keys.length === 1);
    await symlink("v2", join(running.folder, "next"));
    await rename(join(running.folder, "next"), join(running.folder, "current"));
    await running.until("a has changed", () => running.portOf("a") === 81);
  });

  it("survives links in a circle and links to nothing", async () => {
    const running = await start(async (folder) => {
      await mkdir(join(folder, "sub"));
      await symlink("..", join(folder, "sub/up"));
      await symlink("nowhere", join(folder, "gone.yaml"));
      await writeFile(join(folder, "sub/a.yaml"), service("a"));
    });
    await running.until("a is there", (keys) => keys.length >= 1);
    assert.deepEqual(running.keys, ["service default/a"]);
  });

  it("that does not exist has not synchronised, and is read when it appears", async () => {
    const running = await start(undefined, "later");
    while (running.source.diagnostics.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(running.source.items, undefined);
    assert.match(formatDiagnostic(running.source.diagnostics[0]!), /later: there is no folder here that can be read$/); // there is one
    await mkdir(join(running.folder, "later"));
    await writeFile(join(running.folder, "later/a.yaml"), service("a"));
    await running.until("a is there", (keys) => keys.length === 1);
    assert.deepEqual(running.source.diagnostics, []);
  });

  it("that goes away stays in force, and says so", async () => {
    const running = await start(async (folder) => {
      await mkdir(join(folder, "here"));
      await writeFile(join(folder, "here/a.yaml"), service("a"));
    }, "here");
    await running.until("a is there", (keys) => keys.length === 1);
    await rename(join(running.folder, "here"), join(running.folder, "away"));
    await running.until("it is reported", () => running.source.diagnostics.length === 1);
    assert.deepEqual(running.keys, ["service default/a"]);
    await rename(join(running.folder, "away"), join(running.folder, "here"));
    await running.until("it is back", () => running.source.diagnostics.length === 0);
  });

  it("a file that was never good gives what is good of it, and every fault with its place", async () => {
    const running = await start((folder) =>
      writeFile(join(folder, "all.yaml"), `${service("a")}---\n${service("b", 0)}---\nnonsense: [1\n`),
    );
    await running.until("it is reported", () => running.source.diagnostics.length > 0);
    assert.deepEqual(running.keys, []); // it is no YAML, so no document of it is sure
    await writeFile(join(running.folder, "all.yaml"), `${service("a")}---\n${service("b", 0)}`);
    await running.until("half of it is there", (keys) => keys.length === 1);
    assert.deepEqual(
      running.source.diagnostics.map((one) => formatDiagnostic(one).slice(running.folder.length + 1)),
      ["all.yaml:9:19: spec.ports[0].port: found 0, allowed: 1 to 65535"],
    );
  });
});

function fixture(folder: string, outer = folder): SourceFixture {
  return {
    source: new FileSource({ folder, clock: systemClock, parse: parseResource, pollMs: 500 }),
    put: (name, yaml) => writeFile(join(folder, `${name}.yaml`), yaml),
    remove: (name) => unlink(join(folder, `${name}.yaml`)),
    dispose: () => rm(outer, { recursive: true, force: true }),
  };
}
