/**
 * Builds what is published and measured: every package to dist/ (JavaScript and declarations, by tsc), and the sidecar
 * as a bundle of a few files, since loading some hundred modules costs start-up time and memory.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { builtinModulesPlugin } from "./builtin-modules.ts";

const root = dirname(import.meta.dirname);

function run(command: string, ...args: string[]): void {
  const { status } = spawnSync(join(root, "node_modules/.bin", command), args, { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

run("tsc", "-b", "packages/cli"); // refers to every package there is; tests and benches are not published

const folder = join(root, "sidecar/dist/bundle");
rmSync(folder, { recursive: true, force: true });
const bundle = await rolldown({
  input: {
    main: join(root, "sidecar/src/main.ts"),
    "traffic-worker": join(root, "sidecar/src/traffic-worker.ts"),
    // Required by their names when they are first needed (`imports` of sidecar/package.json).
    cel: fileURLToPath(import.meta.resolve("@marcbachmann/cel-js")),
    dns: join(root, "sidecar/src/traffic/dns/index.ts"),
    rbac: join(root, "sidecar/src/traffic/rbac/index.ts"),
    re2js: fileURLToPath(import.meta.resolve("re2js")),
    yaml: fileURLToPath(import.meta.resolve("yaml/package.json")).replace("package.json", "browser/index.js"), // as a module
  },
  platform: "node",
  transform: { define: { HEDDLE_BUILD: JSON.stringify(buildInfo()) } },
  // koffi finds its binary beside itself; filters of users import @heddle/filter from their own node_modules.
  // proto-loader (with a protobufjs of its own) is what gRPC would serve channelz with: nobody asks, 3 MB less when outside.
  // The worker's entry is looked up at run time; other names with # are those of packages, for themselves (OpenTelemetry's).
  plugins: [builtinModulesPlugin()],
  external: ["koffi", "@grpc/proto-loader", "#traffic-worker", "#cel", "#dns", "#rbac", "#re2js", "#yaml"],
  resolve: { conditionNames: ["heddle-src", "node", "import", "default"] },
  logLevel: "warn",
});
const { output } = await bundle.write({
  dir: folder,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
  // V8 keeps the source in memory, at two bytes a character if one of them is not Latin-1: without comments and white
  // space 8 MB less, ASCII alone 1 to 4 MB less (private dirty, idle with ADS). Mangled names save nothing more, and stack
  // traces would suffer; the map beside each file, which costs nothing until `--enable-source-maps`, has lines for them.
  minify: {
    compress: { keepNames: { function: true, class: true } },
    mangle: false,
    codegen: { removeWhitespace: true, asciiOnly: true, legalComments: "none" },
  },
  sourcemap: true,
  sourcemapExcludeSources: true,
});
await bundle.close();

// The plugin of CNI: copied to nodes as one file, and started for each pod.
const plugin = await rolldown({
  input: join(root, "packages/cli/src/cni-main.ts"),
  platform: "node",
  external: ["@heddle/config"], // for a kubeconfig in YAML that somebody else wrote; the one of the installation is JSON
  resolve: { conditionNames: ["heddle-src", "node", "import", "default"] },
  logLevel: "warn",
});
await plugin.write({
  file: join(root, "packages/cli/dist/bundle/cni-main.js"),
  format: "esm",
  minify: { mangle: false },
});
await plugin.close();
const chunks = output.filter((file) => file.type === "chunk");
writeFileSync(join(folder, "licenses.txt"), licenses(chunks.flatMap(({ moduleIds }) => moduleIds)));
for (const { code, fileName } of chunks) console.log(`${(code.length / 1024).toFixed(0).padStart(6)} KiB  ${fileName}`);

/** The commit of the tree that is built, for `--version`; zeros where it is none. */
function buildInfo(): { revision: string; status: string } {
  const git = (...args: string[]): string =>
    spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout?.trim() ?? "";
  const revision = git("rev-parse", "HEAD");
  if (!/^[0-9a-f]{40}$/.test(revision)) return { revision: "0".repeat(40), status: "Source" };
  return { revision, status: git("status", "--porcelain", "--untracked-files=no") === "" ? "Clean" : "Modified" };
}

/** What the packages inside a bundle want to be told of them wherever they are copied. */
function licenses(moduleIds: readonly string[]): string {
  const folders = new Set(moduleIds.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []));
  const texts = [...folders].toSorted().map((of) => {
    const { name, version, license } = JSON.parse(readFileSync(join(of, "package.json"), "utf8"));
    const file = readdirSync(of).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name} ${version}: ${license}\n\n${file === undefined ? "" : readFileSync(join(of, file), "utf8")}`;
  });
  return texts.join(`\n${"-".repeat(80)}\n`);
}
