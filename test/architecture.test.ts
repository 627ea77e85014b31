import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { type ImportSite, importsOf, projectRoot, resolveRelative, sourceFiles } from "./harness/imports.ts";

/** Packages in the order of docs/architecture.md: each may import only what stands before it. */
const ORDER = [
  "base", "telemetry", "identity", "http", "proto", "net", "traffic", "filter", "xds", "config", "mesh", "capture", "inject", "fetch", "cli", "dashboard",
] as const; // biome-ignore format: a table

/** The traffic worker carries requests; it must stay small and must not share fate with these. */
const NEVER_IN_A_WORKER =
  /^(@grpc\/|protobufjs|@opentelemetry\/|@peculiar\/|yaml$|@kubernetes\/|etcd3|ioredis|undici|@heddle\/(proto|xds|mesh|control-plane)$)/;

/** Where a habit of the design has an exception, with the reason. */
const EXCEPTIONS: readonly { readonly rule: string; readonly file: RegExp; readonly reason: string }[] = [
  { rule: "time", file: /^packages\/base\/src\/clock\.ts$/, reason: "the one place that touches the process's timers" },
  {
    rule: "environment",
    file: /^(packages\/cli|control-plane\/src\/(injector-)?main|sidecar\/src\/(main|traffic-worker)\.ts)/,
    reason: "program entries",
  },
  { rule: "console", file: /^packages\/cli\//, reason: "a command prints" },
];

const packages = listPackages();
const product = sourceFiles("packages", "control-plane", "sidecar").filter((file) => !isTest(file));
const imports = new Map(product.map((file) => [file, importsOf(file)]));

test("imports between packages go one way: only to packages above in the list", () => {
  const wrong = crossings().filter(({ from, to }) => {
    if (from.name === to.name) return false;
    if (to.folder === "control-plane" || to.folder === "sidecar") return from.folder !== "packages/cli";
    if (from.folder === "control-plane" || from.folder === "sidecar") return false;
    return ORDER.indexOf(shortName(to) as never) >= ORDER.indexOf(shortName(from) as never);
  });
  assert.deepEqual(wrong.map(describe), []);
});

test("the table of packages knows every package", () => {
  const unknown = packages.filter((p) => p.folder.startsWith("packages/") && !ORDER.includes(shortName(p) as never));
  assert.deepEqual(
    unknown.map((p) => p.folder),
    [],
  );
});

test("a package is entered by its doors, and every import is declared in package.json", () => {
  const wrong: string[] = [];
  for (const file of product) {
    const owner = ownerOf(file);
    for (const site of imports.get(file) ?? []) {
      const { specifier } = site;
      if (specifier.startsWith("node:") || specifier.startsWith("#")) continue;
      if (specifier.startsWith(".")) {
        const target = resolveRelative(file, specifier);
        if (!target.startsWith(`${owner.folder}/`)) wrong.push(`${file}: "${specifier}" leaves its package`);
        else if (!existsSync(join(projectRoot, target))) wrong.push(`${file}: "${specifier}" does not exist`);
        continue;
      }
      if (builtinModules.includes(specifier)) wrong.push(`${file}: write "node:${specifier}"`);
      const name = packageName(specifier);
      const ours = packages.find((p) => p.name === name);
      const door = specifier === name ? "." : `.${specifier.slice(name.length)}`;
      if (ours !== undefined && !(door in ours.doors)) wrong.push(`${file}: ${name} has no door "${door}"`);
      if (name !== owner.name && !owner.dependencies.has(name))
        wrong.push(`${file}: ${name} is not declared in ${owner.folder}/package.json`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("no files import each other in a circle", () => {
  const circles: string[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (file: string, trail: readonly string[]): void => {
    state.set(file, "open");
    for (const site of imports.get(file) ?? []) {
      if (site.typeOnly || site.dynamic || !site.specifier.startsWith(".")) continue;
      const target = resolveRelative(file, site.specifier);
      if (state.get(target) === "open") circles.push([...trail.slice(trail.indexOf(target)), target].join(" > "));
      else if (!state.has(target)) visit(target, [...trail, target]);
    }
    state.set(file, "done");
  };
  for (const file of product) if (!state.has(file)) visit(file, [file]);
  assert.deepEqual(circles, []);
});

test("the traffic worker loads neither gRPC nor protobuf nor YAML, all the way down", () => {
  // Those behind the first are required by their names (`#rbac`), which is no import.
  const entries = ["traffic-worker.ts", "traffic/dns/index.ts", "traffic/rbac/index.ts"].map(
    (entry) => `sidecar/src/${entry}`,
  );
  for (const entry of entries) assert.ok(existsSync(join(projectRoot, entry)), `${entry} is an entry of the worker`);
  const seen = new Set<string>();
  const wrong: string[] = [];
  const queue = entries.map((entry) => ({ file: entry, trail: entry }));
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (seen.has(next.file)) continue;
    seen.add(next.file);
    for (const site of importsOf(next.file)) {
      if (site.typeOnly || site.specifier.startsWith("node:")) continue;
      const trail = `${next.trail} > ${site.specifier}`;
      if (site.specifier.startsWith(".")) queue.push({ file: resolveRelative(next.file, site.specifier), trail });
      else if (NEVER_IN_A_WORKER.test(site.specifier)) wrong.push(trail);
      else {
        const name = packageName(site.specifier);
        const ours = packages.find((p) => p.name === name);
        const source = ours?.doors[site.specifier === name ? "." : `.${site.specifier.slice(name.length)}`];
        if (ours !== undefined && source !== undefined) queue.push({ file: join(ours.folder, source), trail });
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("Kubernetes' own client is loaded late, by the one folder that speaks to a cluster, and nobody loads that folder at once", () => {
  const wrong = [...imports].flatMap(([file, sites]) =>
    sites.flatMap((site) => {
      if (site.typeOnly) return [];
      const inFolder = file.startsWith("control-plane/src/kubernetes/");
      if (packageName(site.specifier) === "@kubernetes/client-node")
        return inFolder && site.dynamic ? [] : [`${file}: ${site.specifier}`];
      if (!site.specifier.startsWith(".") || inFolder || site.dynamic) return [];
      const target = resolveRelative(file, site.specifier);
      const isLight =
        /\/(kube-error|kubernetes-options)\.ts$/.test(target) || file === "control-plane/src/source/kubernetes.ts";
      return target.startsWith("control-plane/src/kubernetes/") && !isLight ? [`${file}: ${target}`] : [];
    }),
  );
  assert.deepEqual(wrong, []);
});

for (const { rule, pattern, why } of [
  {
    rule: "time",
    pattern: /(?<![.\w])(setTimeout|setInterval)\(|\bDate\.now\(|\bperformance\.now\(/,
    why: "take a Clock, so that tests can turn it",
  },
  {
    rule: "environment",
    pattern: /\bprocess\.env\b/,
    why: "the environment is read at a program's entry and handed on",
  },
  { rule: "console", pattern: /(?<![.\w])console\.(log|error|warn|info)\(/, why: "take a Log" },
]) {
  test(`outside its one place nobody uses what the rule on ${rule} bans`, () => {
    const allowed = EXCEPTIONS.filter((exception) => exception.rule === rule);
    const wrong = product
      .filter((file) => !file.includes("/gen/") && !allowed.some((exception) => exception.file.test(file)))
      .flatMap((file) => linesMatching(file, pattern).map((line) => `${file}:${line}: ${why}`));
    assert.deepEqual(wrong, []);
  });
}

interface Package {
  readonly name: string;
  readonly folder: string;
  /** Door to source file. */
  readonly doors: Readonly<Record<string, string>>;
  readonly dependencies: ReadonlySet<string>;
}

function listPackages(): Package[] {
  const folders = [
    ...readdirSync(join(projectRoot, "packages")).map((name) => `packages/${name}`),
    "control-plane",
    "sidecar",
  ];
  return folders.map((folder) => {
    const manifest = JSON.parse(readFileSync(join(projectRoot, folder, "package.json"), "utf8"));
    const doors = Object.entries<Record<string, string>>(manifest.exports).map(([door, conditions]) => [
      door,
      conditions["heddle-src"] ?? "",
    ]);
    const dependencies = new Set(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }));
    return { name: manifest.name, folder, doors: Object.fromEntries(doors), dependencies };
  });
}

function crossings(): { site: ImportSite; from: Package; to: Package }[] {
  return product.flatMap((file) =>
    (imports.get(file) ?? []).flatMap((site) => {
      const to = packages.find((p) => p.name === packageName(site.specifier));
      return to === undefined ? [] : [{ site, from: ownerOf(file), to }];
    }),
  );
}

function describe({ site, from, to }: { site: ImportSite; from: Package; to: Package }): string {
  return `${site.file}: ${from.name} must not import ${to.name}`;
}

function ownerOf(file: string): Package {
  const owner = packages.find((p) => file.startsWith(`${p.folder}/`));
  assert.ok(owner, `${file} belongs to no package`);
  return owner;
}

function shortName(p: Package): string {
  return p.folder.replace("packages/", "");
}

function packageName(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function linesMatching(file: string, pattern: RegExp): number[] {
  const lines = readFileSync(join(projectRoot, file), "utf8").split("\n");
  return lines.flatMap((line, index) =>
    pattern.test(line.replace(/^\s*(\/\/|\*|\/\*).*$/, "").replace(/\s\/\/ .*$/, "")) ? [index + 1] : [],
  );
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts");
}
