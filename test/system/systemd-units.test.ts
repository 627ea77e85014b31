import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { PROXY_UID } from "@heddle/capture";
import { projectRoot } from "../harness/imports.ts";
import { heddleBin } from "../harness/mesh.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* The units of deploy/systemd by systemd's own judgement. That they run is not shown: nothing here is a machine's first process. */

const FOLDER = join(projectRoot, "deploy/systemd");
const PROGRAM = "/usr/local/bin/heddle";
const units = readdirSync(FOLDER).filter((name) => name.endsWith(".service"));
const skip =
  spawnSync("systemd-analyze", ["--version"]).status === 0 ? false : "systemd-analyze is not here (Debian: systemd)";

/** The units as they are, but for the program: whether that is installed is no part of them. */
function copies(t: TestContext): string {
  const folder = scratchFolder(lastFirst(t));
  for (const name of units)
    writeFileSync(join(folder, name), readFileSync(join(FOLDER, name), "utf8").replaceAll(PROGRAM, "/bin/true"));
  return folder;
}

describe("the units of systemd", { skip }, () => {
  test("are read without a word of complaint, together", (t) => {
    const folder = copies(t);
    const { status, stderr } = spawnSync(
      "systemd-analyze",
      ["verify", "--man=no", ...units.map((name) => join(folder, name))],
      { encoding: "utf8" },
    );
    assert.deepEqual([status, stderr.split("\n").filter((line) => line.includes("heddle"))], [0, []], stderr);
  });

  test("are confined: exposed to 2.0 of 10 at the most, and 2.5 where rules of the kernel are set", (t) => {
    const folder = copies(t);
    for (const name of units) {
      const most = name === "heddle-capture.service" ? 25 : 20;
      const { status, stdout } = spawnSync(
        "systemd-analyze",
        ["security", "--offline=true", `--threshold=${most}`, join(folder, name)],
        { encoding: "utf8" },
      );
      assert.equal(status, 0, stdout);
    }
  });

  test("name no flag that the program does not have", () => {
    for (const name of units) {
      const text = readFileSync(join(FOLDER, name), "utf8");
      const commands = [...text.matchAll(new RegExp(`^Exec\\w+=${PROGRAM} ([\\w-]+)(.*)$`, "gm"))];
      assert.ok(commands.length > 0);
      for (const [, command = "", words = ""] of commands) {
        const { stdout } = spawnSync(process.execPath, [heddleBin, command, "--help"], { encoding: "utf8" });
        const options = [...text.matchAll(/^Environment=HEDDLE_CAPTURE_OPTIONS=(.*)$/gm)].map(([, flags]) => flags);
        for (const [flag] of `${words} ${options.join(" ")}`.matchAll(/--[a-z-]+/g))
          assert.ok(stdout.includes(flag), `${name}: heddle ${command} has no ${flag}`);
      }
    }
  });

  test("the sidecar has the user by whose number the rules know it", () => {
    const users = readFileSync(join(FOLDER, "heddle.sysusers.conf"), "utf8");
    assert.match(users, new RegExp(`^u heddle-sidecar +${PROXY_UID} `, "m"));
    assert.match(readFileSync(join(FOLDER, "heddle-sidecar.service"), "utf8"), /^User=heddle-sidecar$/m);
  });
});
