import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Files of one batch: few enough that two processes share a package, and that a batch which hangs is soon looked through. */
const BATCH_FILES = 16;

/**
 * What a file says that is no business of its neighbours: hooks at the top would run for all of the batch, and what belongs to the
 * process (its environment, flags, signals, threads, children, memory) is to be as the file left it.
 */
const ALONE =
  /^(?:before|after|beforeEach|afterEach)\(|\bprocess\.(?!cwd\(\)|pid\b|nextTick\()|\bglobalThis\b|\bmock\b|"node:(?:child_process|worker_threads|cluster|v8|vm|module)"/m;

/** Beside the source. Whole programs (test/) are long, and each file of them has a process. */
const BESIDE_SOURCE = /^(?:packages|sidecar|control-plane)\//;

export interface TestProcess {
  /** What `node --test` runs. */
  readonly entry: string;
  readonly files: readonly string[];
}

/**
 * The processes for these files, by paths from `root`: what a file needs to start (Node, modules, schemas) is 0.3 to 0.5 s of CPU, two
 * thirds of what the tests of packages/http, mesh and traffic cost one by one. So files that keep to themselves share a process with others of their
 * package. Each batch is a module in `folder` that imports its files; each test is still told of by its own file and line.
 *
 * Whole programs come first: short files fill what is left of the last long one.
 */
export function testProcesses(files: readonly string[], root: string, folder: string): readonly TestProcess[] {
  const byPackage = new Map<string, string[]>();
  const alone: TestProcess[] = [];
  for (const file of files) {
    if (!BESIDE_SOURCE.test(file) || ALONE.test(readFileSync(join(root, file), "utf8"))) {
      alone.push({ entry: file, files: [file] });
      continue;
    }
    const name = file.split("/src/")[0] ?? "";
    const batch = byPackage.get(name);
    if (batch === undefined) byPackage.set(name, [file]);
    else batch.push(file);
  }
  const batches = [...byPackage].flatMap(([name, all]) =>
    Array.from({ length: Math.ceil(all.length / BATCH_FILES) }, (_, index) => {
      const some = all.slice(index * BATCH_FILES, (index + 1) * BATCH_FILES);
      if (some.length === 1) return { entry: some[0] ?? "", files: some };
      const entry = join(folder, `${name.replaceAll("/", "-")}-${index + 1}.test.mjs`);
      const imports = some.map((file) => `import ${JSON.stringify(pathToFileURL(join(root, file)).href)};\n`);
      writeFileSync(entry, imports.join(""));
      return { entry, files: some };
    }),
  );
  const isProgram = ({ entry }: TestProcess): boolean => entry.startsWith("test/");
  return [...alone.filter(isProgram), ...alone.filter((one) => !isProgram(one)), ...batches];
}
