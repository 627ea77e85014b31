/**
 * How the names of fields are written in HTTP/1 (Envoy `http_protocol_options.header_key_format`), for peers that take
 * names for case-sensitive. Names are compared in lower case always.
 *
 * - "proper-case": "x-request-id" becomes "X-Request-Id".
 * - "preserve-case": the names of a received head are written as they came, those that were added here in lower case.
 * - "preserve-or-proper-case": those that were added here become proper.
 */
export type HeaderNameFormat = "proper-case" | "preserve-case" | "preserve-or-proper-case";

/** Gives a name, which is lower case, as it is to be written. */
export type HeaderNaming = (name: string) => string;

/** A capital at the start and behind every character that is no letter and no digit. */
export function properCase(name: string): string {
  return name.replace(/(?:^|[^a-z0-9])[a-z]/g, (start) => start.toUpperCase());
}

/** Whether the names of heads that are received are to be remembered. */
export function keepsSpelling(format: HeaderNameFormat | undefined): boolean {
  return format === "preserve-case" || format === "preserve-or-proper-case";
}

/** How a received head is written again. `spelling` is by lower case. */
export function namingOf(spelling: ReadonlyMap<string, string>, format: HeaderNameFormat): HeaderNaming {
  const others = format === "preserve-or-proper-case" ? properCase : unchanged;
  return (name) => spelling.get(name) ?? others(name);
}

/** A head that has been serialised, with the names of its field lines written that way. */
export function rename(head: string, naming: HeaderNaming): string {
  return head.replace(/\r\n([^:\r\n]+):/g, (_, name: string) => `\r\n${naming(name)}:`);
}

function unchanged(name: string): string {
  return name;
}
