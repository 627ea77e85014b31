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
