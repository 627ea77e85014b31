/**
 * Looks for faults in the codecs for as long as it is let: `npm run fuzz -- [target …] [--seconds 60] [--seed N] [--runs N]`. The
 * seed is printed, and the number of a case that fails with the words that run it again.
 */
import { parseArgs } from "node:util";
import { fuzzTargets } from "./targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string" }, seed: { type: "string" }, runs: { type: "string" } },
});
const names = positionals.length > 0 ? positionals : Object.keys(fuzzTargets);
const unknown = names.filter((name) => fuzzTargets[name] === undefined);
if (unknown.length > 0) {
  console.error(`no target ${unknown.join(", ")}; there are: ${Object.keys(fuzzTargets).join(", ")}`);
  process.exit(2);
}
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
const seconds = Number(values.seconds ?? (values.runs === undefined ? 60 : Number.POSITIVE_INFINITY)) / names.length;
const runs = Number(values.runs ?? Number.POSITIVE_INFINITY);
console.log(`seed ${seed}`);

for (const name of names) {
  const target = fuzzTargets[name];
  if (target === undefined) continue;
  const deadline = performance.now() + seconds * 1000;
  let done = 0;
  for (; done < runs && performance.now() < deadline; done++) {
    try {
      await target(seed + done);
    } catch (error) {
      process.exitCode = 1;
      console.error(error);
      console.error(`${name}: again with: npm run fuzz -- ${name} --seed ${seed + done} --runs 1`);
      break;
    }
    if (done % 50 === 49) await new Promise(setImmediate); // the process can be interrupted
  }
  console.log(`${name}: ${done} cases`);
}
process.exit();
