import { join } from "node:path";
import type { Clock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { RuntimeLayer, RuntimeValues } from "@heddle/traffic";

interface RuntimeFolderEvents {
  readonly clock: Clock;
  readonly log: Log;
  readonly onValues: (layer: string, values: RuntimeValues) => void;
  readonly onFailed: () => void;
}

/** Reads and follows the layers of the runtime that lie in files. Most sidecars have none, and load nothing for it. */
export async function openRuntimeFolders(
  layers: readonly RuntimeLayer[],
  nodeCluster: string,
  { clock, log, onValues, onFailed }: RuntimeFolderEvents,
): Promise<{ close(): void }> {
  const onDisk = layers.flatMap((layer) => (layer.type === "disk" ? [layer] : []));
  if (onDisk.length === 0) return { close: () => undefined };
  const { RuntimeFolder } = await import("./runtime-folder.ts");
  const folders = onDisk.map(({ name, root, subfolder, byCluster }) => {
    const folder = join(root, subfolder, ...(byCluster ? [nodeCluster] : []));
    return new RuntimeFolder({ root, folder, clock, log, onFailed, onValues: (values) => onValues(name, values) });
  });
  await Promise.all(folders.map((folder) => folder.start()));
  return {
    close() {
      for (const folder of folders) folder.close();
    },
  };
}
