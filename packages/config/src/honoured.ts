import { HARMLESS_EXTENSIONS, HONOURED, type MessageRules } from "@heddle/xds";

/*
 * What becomes of every field of the resources: honoured, refused or reported. The table stands in `@heddle/xds`, whose
 * decoders need it; this is its door for validation and docs.
 */

export { HARMLESS_EXTENSIONS, HONOURED, type MessageRules } from "@heddle/xds";

/** The table as Markdown, for the docs: a section for each message, the fields that are not honoured with their reason. */
export function honouredMarkdown(): string {
  const sections = Object.entries(HONOURED).map(([message, rules]) => messageSection(message, rules));
  const harmless = [...HARMLESS_EXTENSIONS].toSorted(byFirst).map(([type, note]) => `| \`${type}\` | ${note} |`);
  const last = [
    "## Extensions that may be left out",
    "",
    "| type | what is missing then |",
    "| --- | --- |",
    ...harmless,
  ];
  return `${[...sections, last.join("\n")].join("\n\n")}\n`;
}

function messageSection(message: string, { honoured, refused, reported, unknownFields }: MessageRules): string {
  const names = honoured.split(/\s+/).filter((name) => name !== "");
  const lines = [`## ${message}`, ""];
  lines.push(
    names.length === 0 ? "No field is honoured." : `Honoured: ${names.map((name) => `\`${name}\``).join(", ")}.`,
  );
  const rows = [...fieldRows(refused, "refused"), ...fieldRows(reported, "accepted, reported")];
  if (rows.length > 0) lines.push("", "| field | is | because |", "| --- | --- | --- |", ...rows);
  if (unknownFields === "refused") lines.push("", "A field that is not known at all is refused here.");
  return lines.join("\n");
}

function fieldRows(rules: MessageRules["refused"], verdict: string): string[] {
  return Object.entries(rules ?? {})
    .toSorted(byFirst)
    .map(([field, rule]) => {
      const { note, unless } = typeof rule === "string" ? { note: rule } : rule;
      const accepted = unless === undefined ? "" : ` (\`${String(unless)}\` is accepted)`;
      return `| \`${field}\` | ${verdict} | ${note.replaceAll("|", "\\|")}${accepted} |`;
    });
}

function byFirst([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
