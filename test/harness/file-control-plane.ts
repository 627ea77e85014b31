import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@heddle/base";
import { startControlPlane } from "@heddle/control-plane";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import type { Owner } from "./owner.ts";
import { scratchFolder } from "./sidecar.ts";

/** The whole control plane, in this process, on a folder whose files a test writes. */
export interface FileControlPlane {
  readonly xdsPort: number;
  readonly adminPort: number;
  write(name: string, text: string): Promise<void>;
  /** Why nodes have rejected what they were sent last. */
  rejections(): Promise<readonly string[]>;
}

/** @param files by name. */
export async function startFileControlPlane(
  files: Readonly<Record<string, string>>,
  owner: Owner,
): Promise<FileControlPlane> {
  const folder = scratchFolder(owner);
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  for (const [name, text] of Object.entries(files)) await write(name, text);
  const controlPlane = await startControlPlane({
    folders: [folder],
    xdsAddress: { host: "127.0.0.1", port: 0 },
    adminAddress: { host: "127.0.0.1", port: 0 },
    identifier: "test",
    clock: systemClock,
    log: quietLog,
    metrics: quietMetrics,
    collectMetrics: () => [],
  });
  owner.after(() => controlPlane.stop());
  const adminPort = controlPlane.adminAddress.port;
  return {
    xdsPort: controlPlane.xdsAddress.port,
    adminPort,
    write,
    async rejections() {
      const status = (await (await fetch(`http://127.0.0.1:${adminPort}/status`)).json()) as Status;
      return status.nodes.flatMap(({ types }) => types.flatMap(({ rejected }) => rejected?.message ?? []));
    },
  };
}

/** Of admin's /status, what is read here. */
interface Status {
  readonly nodes: readonly {
    readonly types: readonly { readonly rejected: { readonly message: string } | null }[];
  }[];
}
