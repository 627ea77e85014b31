/**
 * Adds to package-lock.json the packages of other platforms that a registry does not have. npm leaves such optional
 * packages out when it writes the lock, and `npm ci` then refuses the lock, since they are missing. To be run after
 * `npm install --package-lock-only` (in a folder without node_modules, for the same reason).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const path = join(import.meta.dirname, "../package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8")) as { packages: Record<string, LockEntry> };
const known = new Set(Object.keys(lock.packages));
for (const entry of Object.values(lock.packages).slice()) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    if ([...known].some((other) => other === place || other.endsWith(`/${place}`))) continue;
    lock.packages[place] = { version, ...platformOf(name), dev: true, license: entry.license ?? "", optional: true };
    known.add(place);
    console.log(`added ${name}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);

/** "@oxlint/binding-linux-x64-musl": such packages carry their platform in their name. */
function platformOf(name: string): Pick<LockEntry, "os" | "cpu" | "libc"> {
  const [os = "", cpu = "", abi] = name
    .slice(name.lastIndexOf("/") + 1)
    .replace(/^(cli|binding)-/, "")
    .split("-");
  if (os === "wasm32") return { cpu: ["wasm32"] };
  const libc = abi === "musl" ? ["musl"] : abi === "gnu" ? ["glibc"] : undefined;
  return { os: [os], cpu: [cpu], ...(libc !== undefined && { libc }) };
}
