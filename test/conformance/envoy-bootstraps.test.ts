import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { formatDiagnostic, parseYamlDocuments } from "@heddle/config";
import { checkBootstrap } from "@heddle/sidecar/check";
import { bootstrapsPage, bootstrapText, bootstrapVerdicts } from "../../scripts/bootstraps-page.ts";
import { projectRoot } from "../harness/imports.ts";
import { vectors } from "./vectors.ts";

/*
 * Envoy's own example bootstraps: none is a crash, each that is refused is explained field by field, and docs/bootstraps.md
 * counts them. `test/system/envoy-bootstraps.test.ts` starts those that run.
 */

const { skip } = vectors;
const verdicts = skip === false ? bootstrapVerdicts(vectors.file("envoy-bootstraps")) : [];

test("every bootstrap is read, or refused with a place and a reason for each field", { skip }, () => {
  assert.ok(verdicts.length >= 80, `there are ${verdicts.length} bootstraps`);
  for (const { errors, warnings } of verdicts) {
    for (const diagnostic of [...errors, ...warnings]) {
      assert.ok(diagnostic.line > 0 && diagnostic.column > 0, formatDiagnostic(diagnostic));
      assert.ok(diagnostic.path !== "" && diagnostic.message !== "", formatDiagnostic(diagnostic));
    }
  }
});

test("docs/bootstraps.md says what a sidecar says", { skip }, () => {
  const page = readFileSync(join(projectRoot, "docs/bootstraps.md"), "utf8");
  // Not assert.equal, whose difference of two long pages nobody reads.
  assert.ok(
    page === bootstrapsPage(verdicts),
    "node --conditions=heddle-src scripts/print-bootstraps.ts writes it anew",
  );
});

test("a bootstrap with random faults in random places is read or refused, and never a crash", { skip }, () => {
  const random = generator(20_261_121);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const texts = verdicts.map(({ name }) => bootstrapText(vectors.file(`envoy-bootstraps/${name}`)));
  const documents = texts.map((text) => {
    const read = parseYamlDocuments("bootstrap.yaml", text);
    assert.ok(read.ok && read.value[0] !== undefined);
    return read.value[0].json;
  });
  for (let run = 0; run < 300; run++) {
    const document = structuredClone(pick(documents));
    for (let faults = 1 + Math.floor(random() * 3); faults > 0; faults--) spoil(document, random, pick);
    const text = JSON.stringify(document);
    try {
      checkBootstrap("bootstrap.json", text);
    } catch (error) {
      assert.fail(`run ${run}: ${(error as Error).stack}\n${text}`);
    }
  }
});

const JUNK: readonly Json[] = [
  null, true, 0, -1, 1e300, 1.5, "", "x", "-1s", "99999999999s", [], {}, [null], [[]], { "": 1 }, { "@type": "x" }, { "@type": 5 },
  { "@type": "type.googleapis.com/envoy.config.listener.v3.Listener" }, "\u0000", "(", { seconds: -1 }, 4294967296,
  "9223372036854775808", { constructor: {} }, { toString: 1 },
]; // biome-ignore format: a table

/** Takes something away, puts something in twice, or puts something there that does not belong there. */
function spoil(document: Json, random: () => number, pick: <T>(list: readonly T[]) => T): void {
  const places = placesIn(document);
  if (places.length === 0) return;
  const { holder, key } = pick(places);
  const what = random();
  if (Array.isArray(holder)) {
    if (what < 0.3) holder.splice(Number(key), 1);
    else if (what < 0.5) holder.push(structuredClone(holder[Number(key)] ?? null));
    else holder[Number(key)] = pick(JUNK);
  } else if (what < 0.3) delete holder[key];
  else if (what < 0.4) holder[pick(["constructor", "hasOwnProperty", "x", "@type", "name", "config"])] = pick(JUNK);
  else holder[key] = pick(JUNK);
}

type Holder = Json[] | { [key: string]: Json };

function placesIn(json: Json): { holder: Holder; key: string }[] {
  if (typeof json !== "object" || json === null) return [];
  const holder = json as Holder;
  return Object.entries(holder).flatMap(([key, value]) => [{ holder, key }, ...placesIn(value)]);
}

/** Numbers from 0 to below 1, the same for the same seed (a linear congruential generator, Numerical Recipes' constants). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
