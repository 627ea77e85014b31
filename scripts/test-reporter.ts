/**
 * Prints failures as they come, then the list of skips with their reasons, then one closing line. A skip nobody sees is
 * a defect, so the list stands last.
 */
import type { TestEvent } from "node:test/reporters";

export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skips: string[] = [];
  const slow: { name: string; ms: number }[] = [];
  let passed = 0;
  let failed = 0;
  for await (const event of source) {
    switch (event.type) {
      case "test:pass":
        if (event.data.details.type === "suite" || isFile(event.data.name)) break;
        if (event.data.skip !== undefined)
          skips.push(`${where(event.data)} ${event.data.name}: ${reasonOf(event.data.skip)}`);
        else passed += 1;
        if (event.data.details.duration_ms > 3000)
          slow.push({ name: event.data.name, ms: event.data.details.duration_ms });
        break;
      case "test:fail":
        if (event.data.details.type === "suite" && event.data.details.error.message.includes("subtest")) break;
        failed += 1;
        yield `\nFAILED ${where(event.data)} ${event.data.name}\n${describe(event.data.details.error)}\n`;
        break;
      case "test:stderr":
        yield event.data.message;
        break;
      default:
        break;
    }
  }
  for (const { name, ms } of slow.sort((a, b) => b.ms - a.ms).slice(0, 10))
    yield `slow: ${(ms / 1000).toFixed(1)} s  ${name}\n`;
  yield skips.length === 0
    ? "\nNothing was skipped.\n"
    : `\nSkipped, with reasons:\n${skips.map((skip) => `  ${skip}\n`).join("")}`;
  yield `${passed} passed, ${failed} failed, ${skips.length} skipped\n`;
}

function where(data: { readonly file?: string; readonly line?: number }): string {
  const file = data.file?.replace(`${process.cwd()}/`, "") ?? "";
  return data.line === undefined ? file : `${file}:${data.line}`;
}

function isFile(name: string): boolean {
  return name.endsWith(".test.ts") || name.endsWith(".test.mjs"); // the latter is a batch
}

function reasonOf(skip: string | boolean | undefined): string {
  return typeof skip === "string" && skip !== "" ? skip : "no reason given, which is itself a defect";
}

function describe(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error;
  return (cause.stack ?? cause.message)
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}
