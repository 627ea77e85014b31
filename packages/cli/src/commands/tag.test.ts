import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../command.ts";
import { tag } from "./tag.ts";

test("a tag that is none, or the name of its own revision, is refused with what is allowed", async () => {
  for (const [words, why] of [
    ["move prod", /allowed: heddle tag set NAME, heddle tag remove NAME/],
    ["set", /takes one name/],
    ["set a b", /takes one name/],
    ["set Prod --namespace A", /found "Prod", allowed are lower-case letters.*\n--namespace: found "A", allowed/],
    ["set v2 --revision v2", /"v2" is the name of the revision itself/],
    ["set default", /"default" is the name of the revision itself/],
  ] as const)
    await assert.rejects(
      async () => tag.run(words.split(" ")),
      (error) => error instanceof UsageError && why.test(error.message),
    );
});

test("the tag default is printed with a word of when it has no effect, and to be removed without", async (t) => {
  t.mock.method(process.stdout, "write", () => true);
  const said = t.mock.method(console, "error", () => undefined);
  await tag.run(["set", "prod", "--revision", "v2"]);
  await tag.run(["remove", "default"]);
  assert.equal(said.mock.callCount(), 0);
  await tag.run(["set", "default", "--revision", "v2"]);
  assert.match(
    String(said.mock.calls[0]?.arguments[0]),
    /to revision "v2", but has no effect where a revision "default"/,
  );
});
