import { readFileSync } from "node:fs";

/** "heddle 0.1.0 (node 24.21.0, linux x64)" */
export function versionText(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return `heddle ${manifest.version} (node ${process.versions.node}, ${process.platform} ${process.arch})`;
}
