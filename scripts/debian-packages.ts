import { spawnSync } from "node:child_process";

/** Foreign peers and tools of the system tests and benches, by Debian package. */
export const SYSTEM_PACKAGES = [
  "haproxy",
  "nginx-light",
  "wrk",
  "curl",
  "bind9-dnsutils",
  "iproute2",
  "procps",
  "nghttp2-client",
  "nghttp2-server",
  "nghttp2-proxy",
  "strace",
  "python3-grpcio",
  "python3-pip",
  "prometheus",
  "libfaketime",
  "socat",
  "libnginx-mod-stream",
  "etcd-server",
  "etcd-client",
  "testssl.sh",
  "kubernetes-client",
  "python3-kubernetes",
  "nftables",
  "iptables",
] as const;

/**
 * Installs what is missing with apt-get. Returns the packages that are still missing afterwards: tests that need them
 * skip and say so. Does nothing where there is no apt-get or no root.
 */
export function installDebianPackages(packages: readonly string[]): string[] {
  const missing = packages.filter((name) => !isInstalled(name));
  if (missing.length === 0) return [];
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) return missing;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const run = (...args: string[]): void => {
    const { status } = spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env });
    if (status !== 0) console.error(`apt-get ${args.join(" ")} ended with ${status}`);
  };
  run("update", "-qq");
  run("install", "-y", "-qq", "--no-install-recommends", ...missing);
  return missing.filter((name) => !isInstalled(name));
}

/** Programs that others bring too, in packages that cannot stand beside Debian's. */
const PROGRAMS: Readonly<Record<string, readonly [program: string, ...args: string[]]>> = {
  "kubernetes-client": ["kubectl", "version", "--client"],
};

function isInstalled(name: string): boolean {
  const [program, ...args] = PROGRAMS[name] ?? [];
  if (program !== undefined && spawnSync(program, args).status === 0) return true;
  const { status, stdout } = spawnSync("dpkg-query", ["-W", "-f", "$" + "{Status}", name], { encoding: "utf8" });
  return status === 0 && stdout.includes("install ok installed");
}
