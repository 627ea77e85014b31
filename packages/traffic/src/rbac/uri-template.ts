import { err, type JsonObject, ok, type Result } from "@heddle/base";
import { compileSafeRegex } from "../match/safe-regex.ts";
import { type AccessTest, NEVER } from "./access-tests.ts";
import { below, type RuleReader } from "./rule-reader.ts";

export const URI_TEMPLATE = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";

/** `envoy.path.match.uri_template.uri_template_matcher`: a template that the whole path has to fit. */
export function uriTemplateTest(fields: JsonObject, path: string, reader: RuleReader): AccessTest {
  const at = below(path, "pathTemplate");
  if (reader.scope === "network") return reader.fail(path, "a connection has no path", NEVER);
  const pattern = templatePattern(reader.text(fields["pathTemplate"], at));
  if (!pattern.ok) return reader.fail(at, pattern.error, NEVER);
  const regex = compileSafeRegex(pattern.value);
  if (!regex.ok) return reader.fail(at, regex.error, NEVER);
  return ({ urlPath }) => urlPath !== "" && regex.value.test(urlPath);
}

/**
 * A template as a regex: `*` is one segment, `**` (as the last) any number of them, `{name}` one segment, `{name=pattern}` what
 * the pattern says. At most 5 names, each once (Envoy's uri_template_match.proto).
 */
export function templatePattern(template: string): Result<string, string> {
  const fail = (why: string): Result<string, string> => err(`found ${JSON.stringify(template)}: ${why}`);
  if (!template.startsWith("/")) return fail("a template begins with a slash");
  if (template.length > MAX_LENGTH) return fail(`longer than ${MAX_LENGTH} characters`);
  const names = new Set<string>();
  let pattern = "";
  let rest = template;
  let open = false; // behind `**` nothing may come
  while (rest !== "") {
    const piece = PIECE.exec(rest);
    if (piece === null) return fail(`${JSON.stringify(rest)} is neither a segment nor a variable`);
    if (open) return fail("** has to be the last");
    rest = rest.slice(piece[0].length);
    const [, literal, glob, name, inner] = piece;
    if (literal !== undefined) pattern += quote(literal);
    else if (glob !== undefined) {
      pattern += GLOBS[glob]!; // one of two
      open = glob === "**";
    } else if (name !== undefined) {
      if (names.has(name)) return fail(`{${name}} stands there twice`);
      names.add(name);
      if (names.size > MAX_NAMES) return fail(`more than ${MAX_NAMES} variables`);
      const within = inner === undefined ? ok(SEGMENT) : innerPattern(inner);
      if (!within.ok) return fail(within.error);
      pattern += `(?:${within.value})`;
      open = inner?.endsWith("**") === true;
    }
  }
  return ok(pattern);
}

/** Of a variable: segments and globs. */
function innerPattern(text: string): Result<string, string> {
  let pattern = "";
  for (const [index, part] of text.split("/").entries()) {
    if (index > 0) pattern += "/";
    const glob = GLOBS[part];
    if (glob !== undefined) pattern += glob;
    else if (LITERAL.test(part)) pattern += quote(part);
    else return err(`${JSON.stringify(part)} is no segment of a variable`);
  }
  const deep = text.indexOf("**");
  return deep === -1 || deep === text.length - 2 ? ok(pattern) : err("** has to be the last");
}

const MAX_LENGTH = 256;
const MAX_NAMES = 5;
const CHARACTERS = "a-zA-Z0-9\\-._~%!$&'()+,;:@=";
const SEGMENT = `[${CHARACTERS}*]+`;
const GLOBS: Readonly<Record<string, string>> = { "*": SEGMENT, "**": `[${CHARACTERS}*/]*` };
const PIECE = new RegExp(`^(?:([${CHARACTERS}/]+)|(\\*\\*|\\*)|\\{([a-zA-Z][a-zA-Z0-9_]{0,15})(?:=([^{}]+))?\\})`);
const LITERAL = new RegExp(`^[${CHARACTERS}]+$`);

function quote(literal: string): string {
  return literal.replace(/[.+*?()|[\]{}^$\\]/g, "\\$&");
}
