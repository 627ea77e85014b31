import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { CNI_PLUGIN, hasPlugin, type PluginEntry, primaryConfig, withoutPlugin, withPlugin } from "./conflist.ts";

/** Where things lie on the node, and what they say. */
export interface InstallationOptions extends PluginEntry {
  /** The node's folder of plugins, as this process sees it (`/host/opt/cni/bin`). */
  readonly binDir: string;
  /** The node's folder of network configurations, as this process sees it (`/host/etc/cni/net.d`). */
  readonly confDir: string;
  /** As this process sees the file that `kubeconfig` names on the node. */
  readonly kubeconfigFile: string;
  /** The text of the kubeconfig now: its token may have been renewed. Throws where it cannot be made. */
  readonly kubeconfigText: () => string;
  /** Node's arguments that run the plugin, the program first: written into the script that the runtime calls. */
  readonly argv: readonly string[];
  /** Files to put beside the script, by name: the program itself, where the node has none. */
  readonly files: ReadonlyMap<string, string>;
  readonly log: (line: string) => void;
}

const SAVED = ".before-heddle";

/** The plugin on a node. Every step may be repeated, and writes only what is not so already. */
export class Installation {
  readonly #options: InstallationOptions;
  #refused = "";

  constructor(options: InstallationOptions) {
    this.#options = options;
  }

  /** Makes everything as it is to be: program and kubeconfig first, then the chain that names them. True: the chain names the plugin. */
  ensure(): boolean {
    const { binDir, kubeconfigFile, kubeconfigText, files } = this.#options;
    mkdirSync(binDir, { recursive: true });
    for (const [name, from] of files) copyOnce(from, join(binDir, name));
    this.#put(join(binDir, CNI_PLUGIN), this.#script(), 0o755);
    this.#put(kubeconfigFile, kubeconfigText(), 0o600);
    return this.#ensureChain();
  }

  /** Takes everything away again: the chain first, so that no runtime calls what is gone. */
  remove(): void {
    const { binDir, confDir, kubeconfigFile, files, log } = this.#options;
    for (const name of listing(confDir)) {
      const path = join(confDir, name);
      if (!/\.(conflist|conf|json)$/.test(name)) continue;
      const text = readFileSync(path, "utf8");
      if (!hasPlugin(text)) continue;
      const saved = `${path.replace(/\.conflist$/, ".conf")}${SAVED}`;
      if (existsSync(saved)) {
        renameSync(saved, saved.slice(0, -SAVED.length));
        rmSync(path);
      } else {
        const without = withoutPlugin(text);
        if (without.ok) this.#put(path, without.value, 0o644);
      }
      log(`${path}: the plugin has left the chain`);
    }
    rmSync(kubeconfigFile, { force: true });
    for (const name of [CNI_PLUGIN, ...files.keys()]) rmSync(join(binDir, name), { force: true });
  }

  #ensureChain(): boolean {
    const { confDir } = this.#options;
    const name = primaryConfig(listing(confDir));
    if (name === undefined) return this.#refuse(`${confDir} has no network configuration yet`);
    const path = join(confDir, name);
    const text = readFileSync(path, "utf8");
    const wanted = withPlugin(text, this.#options);
    if (!wanted.ok) return this.#refuse(`${path} ${wanted.error}`);
    this.#refused = "";
    if (name.endsWith(".conflist")) {
      this.#put(path, wanted.value, 0o644);
      return true;
    }
    // A runtime reads a list only from a .conflist; the file that it stands for may no longer be the first.
    this.#put(path.replace(/\.(conf|json)$/, ".conflist"), wanted.value, 0o644);
    renameSync(path, `${path.replace(/\.json$/, ".conf")}${SAVED}`);
    return true;
  }

  /** Said once, until it is another reason. */
  #refuse(why: string): false {
    if (why !== this.#refused) this.#options.log(`waiting: ${why}`);
    this.#refused = why;
    return false;
  }

  #script(): string {
    const words = this.#options.argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    return `#!/bin/sh\n# Written by heddle cni install.\nexec ${words.join(" ")} "$@"\n`;
  }

  /** Never half a file: a runtime may read at any moment. */
  #put(path: string, text: string, mode: number): void {
    if (existsSync(path) && readFileSync(path, "utf8") === text) return;
    const temporary = join(path, "..", `.${basename(path)}.${process.pid}`);
    writeFileSync(temporary, text, { mode });
    chmodSync(temporary, mode); // whatever the umask
    renameSync(temporary, path);
    this.#options.log(`${path}: written`);
  }
}

/** Written anew only where it differs: a runtime may be running it. */
function copyOnce(from: string, to: string): void {
  const temporary = `${to}.${process.pid}`;
  if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) return;
  copyFileSync(from, temporary);
  chmodSync(temporary, 0o755);
  renameSync(temporary, to);
}

function listing(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
