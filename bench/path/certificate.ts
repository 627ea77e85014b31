import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CertificateFiles } from "./sidecar-config.ts";

/** A certificate for `localhost` that vouches for itself, of the kind that most servers have (P-256), for two days. */
export function makeCertificate(folder: string): CertificateFiles {
  const host = "localhost";
  const files = {
    certificate: join(folder, "certificate.pem"),
    key: join(folder, "key.pem"),
    both: join(folder, "both.pem"),
    host,
  };
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host},IP:127.0.0.1`];
  execFileSync("openssl", [...request, ...names, "-keyout", files.key, "-out", files.certificate], { stdio: "ignore" });
  writeFileSync(files.both, readFileSync(files.certificate, "latin1") + readFileSync(files.key, "latin1"));
  return files;
}
