/* JSON Pointers (RFC 6901), which begin at the whole document: "" is all of it. */

/** A part of a pointer, with the slash before it: the key of a label has slashes, and may have tildes (§3). */
export function pointerPart(key: string): string {
  return `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** "/a/b~1c" as a, b/c. */
export function pointerParts(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}
