/**
 * Builds what is published and measured: every package to dist/ (JavaScript and declarations, by tsc), and the sidecar
 * as a bundle of two files, since loading some hundred modules costs start-up time and memory.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { rolldown } from "rolldown";

const root = dirname(import.meta.dirname);

function run(command: string, ...args: string[]): void {
  const { status } = spawnSync(join(root, "node_modules/.bin", command), args, { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

run("tsc", "-b");

const folder = join(root, "sidecar/dist/bundle");
rmSync(folder, { recursive: true, force: true });
const bundle = await rolldown({
  input: { main: join(root, "sidecar/src/main.ts"), "traffic-worker": join(root, "sidecar/src/traffic-worker.ts") },
  platform: "node",
  // koffi finds its binary beside itself; filters of users import @heddle/filter from their own node_modules.
  external: ["koffi", /^#/],
  resolve: { conditionNames: ["heddle-src", "node", "import", "default"] },
  logLevel: "warn",
});
const { output } = await bundle.write({
  dir: folder,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
  minify: false,
});
await bundle.close();
for (const file of output)
  console.log(
    `${(("code" in file ? file.code.length : file.source.length) / 1024).toFixed(0).padStart(6)} KiB  ${file.fileName}`,
  );
