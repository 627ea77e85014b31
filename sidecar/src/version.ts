/** Of this package. A constant, since a bundle has no package.json beside it; a test holds the two together. */
export const VERSION = "0.1.0";

/** Put in by scripts/build.ts: the commit that a bundle was made of, and whether something had been changed since. */
declare const HEDDLE_BUILD: { readonly revision: string; readonly status: "Clean" | "Modified" | "Source" } | undefined;

const BUILD = typeof HEDDLE_BUILD === "object" ? HEDDLE_BUILD : { revision: "0".repeat(40), status: "Source" };

/** As Envoy writes its own: "<commit>/<version>/<state of the tree>/<kind of build>/<TLS library>". */
export const BUILD_VERSION = `${BUILD.revision}/${VERSION}/${BUILD.status}/RELEASE/OpenSSL-${process.versions.openssl}`;
