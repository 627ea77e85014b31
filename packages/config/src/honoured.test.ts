import assert from "node:assert/strict";
import { test } from "node:test";
import { HARMLESS_EXTENSIONS, HONOURED, honouredMarkdown } from "./honoured.ts";

test("the table prints as Markdown: every message, and every field that is not honoured with its reason", () => {
  const text = honouredMarkdown();
  for (const [message, { refused, reported }] of Object.entries(HONOURED)) {
    assert.ok(text.includes(`## ${message}\n`), message);
    for (const field of Object.keys({ ...refused, ...reported })) assert.ok(text.includes(`| \`${field}\` |`), field);
  }
  for (const type of HARMLESS_EXTENSIONS.keys()) assert.ok(text.includes(`| \`${type}\` |`), type);
  assert.match(text, /\| `use_proxy_proto` \| refused \| .* \(`false` is accepted\) \|/);
});
