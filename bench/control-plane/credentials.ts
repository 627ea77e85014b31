import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestAuthority } from "@heddle/identity/testing";

/** What a simulated sidecar shows, and whom it trusts; PEM. All share one: what the server does for each is the same. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface BenchAuthority {
  readonly credentials: Credentials;
  /** For the control plane. */
  readonly flags: readonly string[];
}

/** Makes an authority in files, as an operator has one: a root, and an intermediate that signs. */
export function makeAuthority(folder: string): BenchAuthority {
  const root = new TestAuthority("Bench");
  const domain = "spiffe://cluster.local";
  const signing = root.issue({ commonName: "Signing", isAuthority: true, uris: [domain] });
  const { certificate, key } = root.issue({ uris: [`${domain}/ns/default/sa/default`] });
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const files = ["--ca-certificate", write("ca.pem", signing.chain), "--ca-key", write("ca.key", signing.key)];
  const flags = ["--trust-domain", "cluster.local", ...files, "--ca-root", write("root.pem", root.certificate)];
  return { credentials: { cert: certificate, key, ca: root.certificate }, flags };
}
