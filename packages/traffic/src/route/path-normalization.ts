/**
 * What is done to a request target before anything matches it (`normalize_path`, `merge_slashes` and
 * `path_with_escaped_slashes_action` of the HTTP connection manager), so that a rule for "/admin" cannot be passed by
 * writing "/x/../admin", "/%61dmin" or "//admin". Order and results are Envoy's.
 */
export interface PathNormalizationOptions {
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly pathWithEscapedSlashesAction:
    | "KEEP_UNCHANGED"
    | "REJECT_REQUEST"
    | "UNESCAPE_AND_REDIRECT"
    | "UNESCAPE_AND_FORWARD";
}

export type NormalizedPath =
  | { readonly type: "unchanged" }
  /** Go on with this target. */
  | { readonly type: "changed"; readonly target: string }
  /** Answer 307 with this target as location, so that whoever stands before us sees the path that counts. */
  | { readonly type: "redirect"; readonly target: string }
  /** Answer 400. */
  | { readonly type: "reject"; readonly detail: string };

export function normalizeTarget(target: string, options: PathNormalizationOptions): NormalizedPath {
  if (isPlain(target)) return UNCHANGED;
  // A fragment is no part of a request target (RFC 9112 §3.2); matching with and without it would differ.
  if (target.includes("#")) return { type: "reject", detail: "the path has a fragment" };
  const queryAt = target.indexOf("?");
  const query = queryAt === -1 ? "" : target.slice(queryAt);
  let path = queryAt === -1 ? target : target.slice(0, queryAt);
  let redirect = false;
  if (options.pathWithEscapedSlashesAction !== "KEEP_UNCHANGED") {
    const unescaped = unescapeSlashes(path);
    if (unescaped !== path) {
      if (options.pathWithEscapedSlashesAction === "REJECT_REQUEST") {
        return { type: "reject", detail: "the path has an escaped slash" };
      }
      redirect = options.pathWithEscapedSlashesAction === "UNESCAPE_AND_REDIRECT";
      path = unescaped;
    }
  }
  if (options.normalizePath) {
    const canonical = canonicalPath(path);
    if (canonical === undefined) return { type: "reject", detail: "the path has an escaped NUL" };
    path = canonical;
  }
  // After normalisation, which may have brought slashes together.
  if (options.mergeSlashes) path = mergeSlashes(path);
  const result = path + query;
  if (result === target) return UNCHANGED;
  return redirect ? { type: "redirect", target: result } : { type: "changed", target: result };
}

/**
 * Decodes escaped unreserved characters (RFC 3986 §6.2.2.2), escapes what may stand nowhere in a path unescaped (§3.3: "{" is
 * "%7B"), turns backslashes into slashes, and removes dot segments (§5.2.4), those with parameters ("..;x") too. Other escapes stay as they are, their case too. Undefined: the path has an escaped NUL. Takes a path without
 * query; the result begins with a slash.
 */
export function canonicalPath(path: string): string | undefined {
  if (path.includes("%00") || path.includes("\0")) return undefined;
  const decoded = path.replace(ESCAPE, decodeUnreserved).replace(NO_PATH, escaped).replaceAll("\\", "/");
  const absolute = decoded.startsWith("/") ? decoded : `/${decoded}`;
  if (!absolute.includes("/.")) return absolute; // as split and joined: of 60 KB of slashes that takes 16 ms
  const kept: string[] = [];
  const segments = absolute.slice(1).split("/");
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!; // i is below the length
    if (segment.charCodeAt(0) !== DOT) {
      kept.push(segment);
      continue;
    }
    const isLast = i === segments.length - 1;
    // With parameters it is a dot segment still, to servers that know parameters (CVE-2026-73551).
    const isParent = segment === ".." || segment.startsWith("..;");
    if (isParent) kept.pop();
    if (isParent || segment === "." || segment.startsWith(".;")) {
      if (isLast) kept.push(""); // "/a/.." is the folder "/", not the file ""
    } else {
      kept.push(segment);
    }
  }
  return `/${kept.join("/")}`;
}

/** Runs of slashes become one. Takes a path without query. */
export function mergeSlashes(path: string): string {
  return path.includes("//") ? path.replace(/\/{2,}/g, "/") : path;
}

/** "%2F" becomes a slash and "%5C" a backslash, in either case. Takes a path without query. */
export function unescapeSlashes(path: string): string {
  return path.includes("%") ? path.replace(/%2f/gi, "/").replace(/%5c/gi, "\\") : path;
}

const UNCHANGED: NormalizedPath = { type: "unchanged" };
/** Of an unreserved character (RFC 3986 §2.3): "-", ".", 0 to 9, A to Z, "_", a to z, "~". */
const ESCAPE = /%(2[DdEe]|3\d|[46][1-9A-Fa-f]|[57][\dAa]|5[Ff]|7[Ee])/g;

/** Of what the codec lets into a target; the backslash is a slash. */
const NO_PATH = /["<>^`{|}]/g;

function escaped(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function decodeUnreserved(_escape: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}

/**
 * Whether the target is one of those, nearly all, that nothing can change: it begins with a slash and its path has no
 * escape, no character that has to be escaped, no backslash, no fragment, no second slash and no dot behind a slash.
 */
function isPlain(target: string): boolean {
  if (target.charCodeAt(0) !== SLASH) return target === "*" || target === ""; // OPTIONS, CONNECT
  let previous = 0;
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code === QUESTION) return !target.includes("#", i);
    if (CHANGES[code] === 1) return false;
    if (previous === SLASH && (code === SLASH || code === DOT)) return false;
    previous = code;
  }
  return true;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const QUESTION = 0x3f;

/** By character: whether it may change a path, wherever it stands. Targets are bytes, one a character. */
const CHANGES = Uint8Array.from({ length: 256 }, (_, code) =>
  code === 0 || `%\\#"<>^\`{|}`.includes(String.fromCharCode(code)) ? 1 : 0,
);
