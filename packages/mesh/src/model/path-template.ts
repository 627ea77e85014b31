import { err, ok, type Result } from "@heddle/base";

/* Templates of paths, as Istio's policies have them: "/a/{*}/b" is one segment between, "/a/{**}" any number behind. */

export type TemplateSegment =
  | { readonly type: "literal"; readonly text: string }
  /** One segment, not empty. */
  | { readonly type: "one" }
  /** Any number of segments, or none. */
  | { readonly type: "rest" };

export function isPathTemplate(text: string): boolean {
  return text.includes("{") || text.includes("}");
}

/** The segments between the slashes. The error says what is allowed. */
export function parsePathTemplate(text: string): Result<readonly TemplateSegment[], string> {
  if (!text.startsWith("/")) return err('has to begin with "/"');
  const segments: TemplateSegment[] = [];
  for (const part of text.slice(1).split("/")) {
    if (part === "{*}") segments.push({ type: "one" });
    else if (part === "{**}") segments.push({ type: "rest" });
    else if (/[{}*]/.test(part))
      return err('"{*}" and "{**}" have to be whole segments, and no other "*" stands beside them');
    else segments.push({ type: "literal", text: part });
    const last = segments.at(-1)!; // just pushed
    const rest = segments.findIndex(({ type }) => type === "rest");
    // Envoy's uri_template: no operator behind the one that takes everything.
    if (last.type !== "literal" && rest !== -1 && rest < segments.length - 1)
      return err('nothing but text may stand behind "{**}"');
  }
  return ok(segments);
}
