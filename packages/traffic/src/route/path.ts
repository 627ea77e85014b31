/* Small questions about a request target. Each is asked for every request, so none of them allocates without need. */

/** The path without query and fragment. Route matching never sees more (Envoy's `removeQueryAndFragment`). */
export function pathOnly(target: string): string {
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code === QUESTION || code === HASH) return target.slice(0, i);
  }
  return target;
}

/** Where the port begins (at its colon) in an authority; -1 if there is none. An IPv6 address stands in brackets. */
export function portStart(authority: string): number {
  const colon = authority.lastIndexOf(":");
  return colon > authority.lastIndexOf("]") ? colon : -1; // -1 > -1 is false, so no colon gives -1 as well
}

const QUESTION = 0x3f;
const HASH = 0x23;
